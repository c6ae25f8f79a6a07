/* A module that uses every function of the C API; tests/capi/probe.lua calls it, under rjit and under the reference. */
#include <errno.h>
#include <string.h>

#include "lauxlib.h"
#include "lualib.h"

/* Indices, moving values. */
static int stack(lua_State *L) {
  lua_settop(L, 0);
  for (int i = 1; i <= 5; i++) lua_pushinteger(L, i * 10);
  lua_insert(L, 2);  /* 10 50 20 30 40 */
  lua_remove(L, -2); /* 10 50 20 40 */
  lua_pushvalue(L, 1);
  lua_replace(L, 3); /* 10 50 10 40 */
  lua_copy(L, 2, 1); /* 50 50 10 40 */
  lua_pushnumber(L, lua_gettop(L));
  luaL_checkstack(L, 100, "no room");
  lua_pushboolean(L, lua_checkstack(L, 1000000));
  lua_pushboolean(L, lua_isnone(L, 20) && lua_type(L, lua_upvalueindex(3)) == LUA_TNONE);
  return lua_gettop(L);
}

/* Types and conversions of the arguments. */
static int look(lua_State *L) {
  int n = lua_gettop(L);
  lua_newtable(L);
  for (int i = 1; i <= n; i++) {
    int ok1, ok2;
    lua_Number number = lua_tonumberx(L, i, &ok1);
    lua_Integer integer = lua_tointegerx(L, i, &ok2);
    int flags = lua_isnumber(L, i) | lua_isstring(L, i) << 1 | lua_iscfunction(L, i) << 2 | lua_isuserdata(L, i) << 3 |
                lua_toboolean(L, i) << 4 | ok1 << 5 | ok2 << 6 | (lua_tothread(L, i) != NULL) << 7 |
                (lua_topointer(L, i) != NULL) << 8 | (lua_touserdata(L, i) != NULL) << 9;
    lua_pushfstring(L, "%s %d %f %d %d %s%%%c", luaL_typename(L, i), flags, number, (int)integer,
                    lua_type(L, i) == LUA_TNUMBER ? -1 : (int)lua_objlen(L, i), (char *)NULL, 'x');
    lua_rawseti(L, n + 1, i);
  }
  lua_pushfstring(L, "%d %d %d %s %f %d %f %f %f %f %f %f %f %f %s", 1, 2, 3, "four", 5.5, 6, 7.5, 8.5, 9.5, 10.5, 11.5,
                  12.5, 13.5, 14.5, "end");
  lua_rawseti(L, n + 1, n + 1);
  lua_pushnumber(L, lua_tonumber(L, 1) + (lua_Number)lua_tointeger(L, 1));
  return 2;
}

static int compare(lua_State *L) {
  lua_pushboolean(L, lua_equal(L, 1, 2));
  lua_pushboolean(L, lua_rawequal(L, 1, 2));
  lua_pushboolean(L, lua_equal(L, 1, 30));
  if (lua_toboolean(L, 3)) {
    lua_pushboolean(L, lua_lessthan(L, 1, 2));
    return 4;
  }
  return 3;
}

static int tables(lua_State *L) {
  lua_createtable(L, 4, 4);
  lua_pushliteral(L, "key");
  lua_pushliteral(L, "value");
  lua_settable(L, -3);
  lua_pushinteger(L, 7);
  lua_setfield(L, -2, "field");
  lua_pushboolean(L, 1);
  lua_rawseti(L, -2, 3);
  lua_pushlightuserdata(L, L);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_getfield(L, -1, "field");
  lua_pushliteral(L, "key");
  lua_gettable(L, -3);
  lua_rawgeti(L, -3, 3);
  lua_pushliteral(L, "nothing");
  lua_rawget(L, -5);
  int entries = 0;
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    entries++;
    lua_pop(L, 1);
  }
  lua_pushinteger(L, entries);
  return 5;
}

static int index_argument(lua_State *L) {
  lua_settop(L, 3);
  if (lua_isnil(L, 3)) {
    lua_settop(L, 2);
    lua_gettable(L, 1);
    return 1;
  }
  lua_settable(L, 1);
  return 0;
}

static int concat(lua_State *L) {
  lua_concat(L, lua_gettop(L));
  return 1;
}

static int environments(lua_State *L) {
  lua_getfenv(L, 1);
  lua_newtable(L);
  lua_pushinteger(L, 42);
  lua_setfield(L, -2, "answer");
  lua_pushboolean(L, lua_setfenv(L, 1));
  lua_pushboolean(L, lua_rawequal(L, LUA_GLOBALSINDEX, LUA_ENVIRONINDEX));
  lua_getglobal(L, "probe_global");
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  lua_pushstring(L, luaL_typename(L, -1));
  lua_remove(L, -2);
  return 5;
}

/* A userdata type with methods. */
static int new_counter(lua_State *L) {
  double *p = lua_newuserdata(L, sizeof(double));
  *p = luaL_optnumber(L, 1, 0);
  luaL_getmetatable(L, "probe.counter");
  lua_setmetatable(L, -2);
  return 1;
}
static int counter_add(lua_State *L) {
  double *p = luaL_checkudata(L, 1, "probe.counter");
  *p += luaL_checknumber(L, 2);
  lua_settop(L, 1);
  return 1;
}
static int counter_get(lua_State *L) {
  lua_pushnumber(L, *(double *)luaL_checkudata(L, 1, "probe.counter"));
  lua_pushboolean(L, luaL_testudata(L, 1, "other") != NULL);
  lua_pushboolean(L, lua_getmetatable(L, 1));
  return 3;
}
static int counter_gc(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "probe.collected");
  lua_pushinteger(L, lua_tointeger(L, -1) + 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "probe.collected");
  return 0;
}
static int collected(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "probe.collected");
  return 1;
}

/* Upvalues. */
static int next_number(lua_State *L) {
  lua_Integer n = lua_tointeger(L, lua_upvalueindex(1)) + lua_tointeger(L, lua_upvalueindex(2));
  lua_pushinteger(L, n);
  lua_pushvalue(L, -1);
  lua_replace(L, lua_upvalueindex(1));
  return 1;
}
static int make_numbers(lua_State *L) {
  lua_pushinteger(L, luaL_checkint(L, 1));
  lua_pushinteger(L, luaL_optint(L, 2, 1));
  lua_pushcclosure(L, next_number, 2);
  lua_pushboolean(L, lua_tocfunction(L, -1) == next_number);
  const char *name = lua_getupvalue(L, -2, 2);
  lua_pushstring(L, name);
  lua_pushboolean(L, lua_getupvalue(L, -4, 3) == NULL);
  lua_pushinteger(L, 5);
  lua_pushstring(L, lua_setupvalue(L, -6, 2));
  return 6;
}

/* Errors. */
static int fail(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  return lua_error(L);
}
static int fail_with(lua_State *L) {
  return luaL_error(L, "%s-%d", luaL_checkstring(L, 1), luaL_checkint(L, 2));
}
static int where(lua_State *L) {
  luaL_where(L, luaL_checkint(L, 1));
  return 1;
}
static int protect(lua_State *L) {
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  lua_pushinteger(L, status);
  lua_insert(L, 1);
  return lua_gettop(L);
}
static int handler(lua_State *L) {
  lua_pushfstring(L, "handled(%s)", lua_tostring(L, 1));
  return 1;
}
static int protect_with_handler(lua_State *L) {
  lua_pushcfunction(L, handler);
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 2, 2, 1);
  lua_pushinteger(L, status);
  lua_replace(L, 1);
  return lua_gettop(L);
}
static int call(lua_State *L) {
  lua_call(L, lua_gettop(L) - 1, 2);
  return 2;
}
static int protected_body(lua_State *L) {
  lua_pushinteger(L, *(int *)lua_touserdata(L, 1));
  return lua_error(L);
}
static int cpcall(lua_State *L) {
  int n = 17;
  lua_pushinteger(L, lua_cpcall(L, protected_body, &n));
  lua_insert(L, -2);
  return 2;
}
/* Nested protected calls that errors leave one after the other. */
static int nest(lua_State *L) {
  int n = luaL_checkint(L, 1);
  if (n == 0) return luaL_error(L, "bottom");
  lua_pushcfunction(L, nest);
  lua_pushinteger(L, n - 1);
  if (n % 3 == 0) {
    if (lua_pcall(L, 1, 0, 0)) return luaL_error(L, "%d(%s)", n, lua_tostring(L, -1));
  } else
    lua_call(L, 1, 0);
  return 0;
}

/* Checked arguments. */
static int arguments(lua_State *L) {
  static const char *const options[] = {"one", "two", "three", NULL};
  size_t len;
  int n = lua_gettop(L);
  lua_settop(L, 5);
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *s = luaL_checklstring(L, 2, &len);
  lua_pushlstring(L, s, len);
  lua_pushinteger(L, luaL_checkoption(L, 3, "two", options));
  lua_pushstring(L, luaL_optstring(L, 4, "default"));
  lua_pushinteger(L, luaL_optinteger(L, 5, 99));
  luaL_argcheck(L, n < 8, 7, "too many");
  return 4;
}
static int wrong(lua_State *L) {
  return luaL_typerror(L, 1, "gadget");
}

static int meta(lua_State *L) {
  lua_pushboolean(L, luaL_getmetafield(L, 1, "__absent"));
  lua_pushboolean(L, luaL_callmeta(L, 1, "__tostring"));
  return lua_gettop(L) - 1;
}

static int references(lua_State *L) {
  lua_newtable(L);
  int refs[4];
  for (int i = 0; i < 4; i++) {
    lua_pushinteger(L, i);
    refs[i] = luaL_ref(L, 1);
  }
  luaL_unref(L, 1, refs[1]);
  luaL_unref(L, 1, refs[2]);
  lua_pushliteral(L, "again");
  int again = luaL_ref(L, 1);
  lua_pushnil(L);
  int nil = luaL_ref(L, 1);
  lua_rawgeti(L, 1, again);
  lua_pushfstring(L, "%d %d %d %d %d %d", refs[0], refs[1], refs[2], refs[3], again, nil);
  return 2;
}

static int buffers(lua_State *L) {
  luaL_Buffer b;
  int n = luaL_checkint(L, 1);
  luaL_buffinit(L, &b);
  for (int i = 0; i < n; i++) {
    luaL_addstring(&b, "abc");
    luaL_addchar(&b, '0' + i % 10);
    luaL_addlstring(&b, "\0\1", 2);
    lua_pushinteger(L, i);
    luaL_addvalue(&b);
  }
  char *room = luaL_prepbuffer(&b);
  memcpy(room, "room", 4);
  luaL_addsize(&b, 4);
  char big[20000];
  memset(big, 'b', sizeof(big));
  luaL_addlstring(&b, big, sizeof(big));
  luaL_pushresult(&b);
  lua_pushinteger(L, lua_gettop(L));
  return 2;
}

static int texts(lua_State *L) {
  luaL_gsub(L, "a.b.c", ".", "--");
  lua_newtable(L);
  lua_pushstring(L, luaL_findtable(L, -1, "x.y.z", 1));
  lua_pushvalue(L, -2);
  lua_pushinteger(L, 1);
  lua_setfield(L, -2, "leaf");
  lua_pushstring(L, luaL_findtable(L, -1, "leaf.more", 1));
  errno = 2;
  int n = luaL_fileresult(L, 0, "name");
  n += luaL_fileresult(L, 1, NULL);
  n += luaL_execresult(L, 0);
  n += luaL_execresult(L, 3 << 8);
  n += luaL_execresult(L, 9);
  lua_pushinteger(L, n);
  return lua_gettop(L);
}

/* Chunks. */
struct pieces {
  const char **next;
  int fail;
};
static const char *read_piece(lua_State *L, void *data, size_t *size) {
  struct pieces *p = data;
  if (p->fail) luaL_error(L, "reader failed");
  const char *s = *p->next;
  if (s) p->next++;
  *size = s ? strlen(s) : 0;
  return s;
}
static int write_piece(lua_State *L, const void *s, size_t n, void *data) {
  luaL_addlstring(data, s, n);
  return 0;
}
static int chunks(lua_State *L) {
  const char *good[] = {"local a = ", "... ", "return a * 2", NULL}, *bad[] = {"local =", NULL};
  struct pieces p = {good, 0}, q = {bad, 0}, r = {good, 1};
  lua_settop(L, 0);
  int status = lua_load(L, read_piece, &p, "=good");
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  int dumped = lua_dump(L, write_piece, &b);
  luaL_pushresult(&b);
  size_t n;
  const char *s = lua_tolstring(L, -1, &n);
  int loaded = luaL_loadbufferx(L, s, n, "=dump", "b");
  lua_pushinteger(L, 21);
  lua_call(L, 1, 1);
  int refused = luaL_loadbufferx(L, s, n, "=dump", "t");
  lua_pushinteger(L, status * 1000 + dumped * 100 + loaded * 10 + refused);
  lua_pushinteger(L, lua_loadx(L, read_piece, &q, "=bad", "t"));
  lua_pushinteger(L, lua_load(L, read_piece, &r, "=reader"));
  lua_pushinteger(L, luaL_loadstring(L, "return +"));
  lua_pushinteger(L, luaL_loadbuffer(L, "return 5", 8, "five"));
  lua_pushinteger(L, luaL_loadfile(L, "/nowhere/at.all"));
  lua_pushboolean(L, luaL_dostring(L, "return 'done'"));
  lua_pushboolean(L, luaL_dofile(L, "/nowhere/at.all"));
  return lua_gettop(L);
}

/* Coroutines. */
static int yielder(lua_State *L) {
  return lua_yield(L, lua_gettop(L));
}
static int generator(lua_State *L) {
  lua_Integer n = lua_tointeger(L, lua_upvalueindex(1)) + 1;
  lua_pushinteger(L, n);
  lua_replace(L, lua_upvalueindex(1));
  lua_pushinteger(L, n);
  return n > 3 ? 1 : lua_yield(L, 1);
}
static int make_generator(lua_State *L) {
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, generator, 1);
  return 1;
}
static int resume_all(lua_State *L) {
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_newtable(L);
  int status, round = 0;
  do {
    lua_pushinteger(co, ++round);
    status = lua_resume(co, 1);
    lua_pushfstring(L, "%d %d %d:", status, lua_status(co), lua_gettop(co));
    for (int i = 1; i <= lua_gettop(co); i++) {
      lua_pushfstring(L, " %s", lua_tostring(co, i) ? lua_tostring(co, i) : luaL_typename(co, i));
      lua_concat(L, 2);
    }
    lua_rawseti(L, 3, round);
    if (status == LUA_YIELD) lua_settop(co, 0);
  } while (status == LUA_YIELD && round < 20);
  lua_pushinteger(L, lua_resume(co, 0));
  lua_pushboolean(L, lua_pushthread(L));
  lua_remove(L, -2);
  lua_pushboolean(L, lua_isyieldable(L));
  return 4;
}

/* Looking at functions. */
static int inspect(lua_State *L) {
  lua_Debug ar;
  lua_newtable(L);
  for (int i = 0; lua_getstack(L, i, &ar); i++) {
    lua_getinfo(L, "nSlu", &ar);
    lua_pushfstring(L, "%s %s %s %s %d %d %d %d", ar.name, ar.namewhat, ar.what, i ? ar.short_src : "", ar.currentline,
                    ar.nups, ar.linedefined, ar.lastlinedefined);
    lua_rawseti(L, -2, i + 1);
  }
  lua_getstack(L, 1, &ar);
  const char *name = lua_getlocal(L, &ar, 1);
  lua_pushstring(L, name);
  lua_pushliteral(L, "changed");
  lua_pushstring(L, lua_setlocal(L, &ar, 1));
  lua_getinfo(L, "f", &ar);
  lua_getinfo(L, ">S", &ar);
  lua_pushinteger(L, ar.linedefined);
  lua_pushboolean(L, lua_getlocal(L, &ar, 100) == NULL);
  return lua_gettop(L);
}
static int traceback(lua_State *L) {
  luaL_traceback(L, L, "message", luaL_checkint(L, 1));
  return 1;
}
static int join(lua_State *L) {
  lua_pushboolean(L, lua_upvalueid(L, 1, 1) == lua_upvalueid(L, 2, 1));
  lua_upvaluejoin(L, 1, 1, 2, 1);
  lua_pushboolean(L, lua_upvalueid(L, 1, 1) == lua_upvalueid(L, 2, 1));
  return 2;
}

static int events[4], lines[100], line_count;
static void count_event(lua_State *L, lua_Debug *ar) {
  events[ar->event]++;
  if (ar->event == LUA_HOOKLINE && line_count < 100) {
    lua_getinfo(L, "Sl", ar);
    lines[line_count++] = ar->currentline - ar->linedefined;
  }
  if (ar->event == LUA_HOOKCOUNT && events[3] > 1000) luaL_error(L, "stopped by hook");
}
static int hooked(lua_State *L) {
  int mask = luaL_checkint(L, 2);
  memset(events, 0, sizeof(events));
  line_count = 0;
  lua_settop(L, 1);
  lua_sethook(L, count_event, mask, 10);
  int same = lua_gethook(L) == count_event && lua_gethookmask(L) == mask && lua_gethookcount(L) == 10;
  lua_getglobal(L, "debug");
  lua_getfield(L, -1, "gethook");
  lua_call(L, 0, 1);
  lua_replace(L, -2);
  lua_insert(L, 1);
  int status = lua_pcall(L, 0, 0, 0);
  lua_sethook(L, NULL, 0, 0);
  if (status) {
    lua_pushinteger(L, status);
    return 3;
  }
  lua_pushboolean(L, same);
  for (int i = 0; i < 3; i++) lua_pushboolean(L, events[i] > 0);
  for (int i = 0; i < line_count; i++) lua_pushinteger(L, lines[i]);
  return lua_gettop(L);
}

/* The collector, states of their own. */
static int collector(lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT, 0);
  int ok = lua_gc(L, LUA_GCCOUNT, 0) > 0 && lua_gc(L, LUA_GCCOUNTB, 0) < 1024;
  lua_gc(L, LUA_GCSTOP, 0);
  int running = lua_gc(L, LUA_GCISRUNNING, 0);
  lua_gc(L, LUA_GCRESTART, 0);
  lua_pushboolean(L, ok);
  lua_pushinteger(L, running * 10 + lua_gc(L, LUA_GCISRUNNING, 0));
  lua_pushinteger(L, lua_gc(L, LUA_GCSETPAUSE, 150));
  lua_pushinteger(L, lua_gc(L, LUA_GCSETPAUSE, 200));
  lua_pushinteger(L, lua_gc(L, LUA_GCSETSTEPMUL, 300));
  lua_pushinteger(L, lua_gc(L, LUA_GCSETSTEPMUL, 200));
  int steps = 0;
  while (!lua_gc(L, LUA_GCSTEP, 100) && steps < 1000000) steps++;
  lua_pushboolean(L, steps < 1000000);
  lua_pushinteger(L, lua_gc(L, 77, 0));
  void *data;
  lua_Alloc f = lua_getallocf(L, &data);
  void *p = f(data, NULL, 0, 100);
  lua_pushboolean(L, p != NULL);
  f(data, p, 100, 0);
  return 9;
}
static int other_state(lua_State *L) {
  lua_State *S = luaL_newstate();
  luaL_openlibs(S);
  int status = luaL_dostring(S, luaL_checkstring(L, 1));
  lua_pushinteger(L, status);
  lua_pushstring(L, lua_tostring(S, -1));
  lua_pushboolean(L, lua_atpanic(S, NULL) != fail);
  lua_close(S);
  S = luaL_newstate();
  lua_pushcfunction(S, luaopen_base);
  lua_pushcfunction(S, luaopen_string);
  lua_call(S, 0, 1);
  lua_pushstring(L, luaL_typename(S, -1));
  lua_getglobal(S, "print");
  lua_pushstring(L, luaL_typename(S, -1));
  lua_getglobal(S, "math");
  lua_pushstring(L, luaL_typename(S, -1));
  lua_close(S);
  return 6;
}
static int file(lua_State *L) {
  FILE **f = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  if (*f) fputs("from C\n", *f);
  lua_pushboolean(L, *f != NULL);
  return 1;
}
/* Makes garbage without returning. */
static int churn(lua_State *L) {
  int n = luaL_checkint(L, 1), most = 0;
  for (int i = 0; i < n; i++) {
    lua_newtable(L);
    lua_pushfstring(L, "string number %d", i);
    lua_setfield(L, -2, "text");
    lua_pop(L, 1);
    int kb = lua_gc(L, LUA_GCCOUNT, 0);
    if (kb > most) most = kb;
  }
  lua_pushboolean(L, most < 20000);
  return 1;
}

#define F(name) {#name, name}
static const luaL_Reg functions[] = {
    F(stack), F(look), F(compare), F(tables), F(index_argument), F(concat), F(environments), F(new_counter),
    F(collected), F(make_numbers), F(fail), F(fail_with), F(where), F(protect), F(protect_with_handler), F(call), F(cpcall),
    F(nest), F(arguments), F(wrong), F(meta), F(references), F(buffers), F(texts), F(chunks), F(yielder), F(make_generator),
    F(resume_all), F(inspect), F(traceback), F(join), F(hooked), F(collector), F(other_state), F(file), F(churn),
    {NULL, NULL}};
static const luaL_Reg counter_methods[] = {{"add", counter_add}, {"get", counter_get}, {"__gc", counter_gc}, {NULL, NULL}};

int luaopen_probe(lua_State *L) {
  luaL_newmetatable(L, "probe.counter");
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_register(L, NULL, counter_methods);
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  lua_pushinteger(L, luaL_newmetatable(L, "probe.counter"));
  lua_setfield(L, -3, "again");
  lua_pop(L, 1);
  lua_pushliteral(L, "shared");
  luaL_openlib(L, "probe_global.inner", functions + 1, 1);
  lua_pushnumber(L, *lua_version(L));
  lua_setfield(L, -3, "version");
  lua_pop(L, 1);
  return 1;
}
int luaopen_probe_part(lua_State *L) {
  lua_pushstring(L, luaL_checkstring(L, 1));
  return 1;
}
