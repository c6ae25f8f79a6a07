/* The C API of Lua 5.1 with LuaJIT's additions, as rjit exports it. Binary compatible with the headers of both. */
#ifndef lua_h
#define lua_h

#include <stdarg.h>
#include <stddef.h>

#ifdef __cplusplus
#define LUA_API extern "C"
#else
#define LUA_API extern
#endif
#define LUALIB_API LUA_API

#define LUA_VERSION "Lua 5.1"
#define LUA_RELEASE "Lua 5.1.4"
#define LUA_VERSION_NUM 501
#define LUA_SIGNATURE "\033Lua"
#define LUA_IDSIZE 60
#define LUA_MINSTACK 20
#define LUA_MULTRET (-1)
#define LUA_QL(x) "'" x "'"
#define LUA_QS LUA_QL("%s")

typedef double lua_Number;
typedef ptrdiff_t lua_Integer;
#define LUA_NUMBER lua_Number
#define LUA_INTEGER lua_Integer
#define LUA_NUMBER_FMT "%.14g"

typedef struct lua_State lua_State;
typedef struct lua_Debug lua_Debug;
typedef int (*lua_CFunction)(lua_State *);
typedef const char *(*lua_Reader)(lua_State *, void *data, size_t *size);
typedef int (*lua_Writer)(lua_State *, const void *piece, size_t size, void *data);
typedef void *(*lua_Alloc)(void *data, void *block, size_t old, size_t size);
typedef void (*lua_Hook)(lua_State *, lua_Debug *);

/* Indices that are no positions in the stack. */
#define LUA_REGISTRYINDEX (-10000)
#define LUA_ENVIRONINDEX (-10001)
#define LUA_GLOBALSINDEX (-10002)
#define lua_upvalueindex(i) (LUA_GLOBALSINDEX - (i))

/* Results of calls and states of coroutines. */
enum { LUA_OK, LUA_YIELD, LUA_ERRRUN, LUA_ERRSYNTAX, LUA_ERRMEM, LUA_ERRERR };

/* Types. */
#define LUA_TNONE (-1)
#define LUA_TNIL 0
#define LUA_TBOOLEAN 1
#define LUA_TLIGHTUSERDATA 2
#define LUA_TNUMBER 3
#define LUA_TSTRING 4
#define LUA_TTABLE 5
#define LUA_TFUNCTION 6
#define LUA_TUSERDATA 7
#define LUA_TTHREAD 8

/* States and coroutines. */
LUA_API lua_State *lua_newstate(lua_Alloc, void *data);
LUA_API void lua_close(lua_State *);
LUA_API lua_State *lua_newthread(lua_State *);
LUA_API lua_CFunction lua_atpanic(lua_State *, lua_CFunction);
LUA_API int lua_resume(lua_State *, int nargs);
LUA_API int lua_yield(lua_State *, int nresults);
LUA_API int lua_status(lua_State *);
LUA_API int lua_isyieldable(lua_State *);
LUA_API const lua_Number *lua_version(lua_State *);

/* The stack. */
LUA_API int lua_gettop(lua_State *);
LUA_API void lua_settop(lua_State *, int index);
LUA_API void lua_pushvalue(lua_State *, int index);
LUA_API void lua_remove(lua_State *, int index);
LUA_API void lua_insert(lua_State *, int index);
LUA_API void lua_replace(lua_State *, int index);
LUA_API void lua_copy(lua_State *, int from, int to);
LUA_API int lua_checkstack(lua_State *, int n);
LUA_API void lua_xmove(lua_State *from, lua_State *to, int n);

/* Reading values. */
LUA_API int lua_type(lua_State *, int index);
LUA_API const char *lua_typename(lua_State *, int type);
LUA_API int lua_isnumber(lua_State *, int index);
LUA_API int lua_isstring(lua_State *, int index);
LUA_API int lua_iscfunction(lua_State *, int index);
LUA_API int lua_isuserdata(lua_State *, int index);
LUA_API int lua_equal(lua_State *, int a, int b);
LUA_API int lua_rawequal(lua_State *, int a, int b);
LUA_API int lua_lessthan(lua_State *, int a, int b);
LUA_API lua_Number lua_tonumber(lua_State *, int index);
LUA_API lua_Number lua_tonumberx(lua_State *, int index, int *ok);
LUA_API lua_Integer lua_tointeger(lua_State *, int index);
LUA_API lua_Integer lua_tointegerx(lua_State *, int index, int *ok);
LUA_API int lua_toboolean(lua_State *, int index);
LUA_API const char *lua_tolstring(lua_State *, int index, size_t *len);
LUA_API size_t lua_objlen(lua_State *, int index);
LUA_API lua_CFunction lua_tocfunction(lua_State *, int index);
LUA_API void *lua_touserdata(lua_State *, int index);
LUA_API lua_State *lua_tothread(lua_State *, int index);
LUA_API const void *lua_topointer(lua_State *, int index);

/* Pushing values. */
LUA_API void lua_pushnil(lua_State *);
LUA_API void lua_pushnumber(lua_State *, lua_Number);
LUA_API void lua_pushinteger(lua_State *, lua_Integer);
LUA_API void lua_pushlstring(lua_State *, const char *, size_t len);
LUA_API void lua_pushstring(lua_State *, const char *);
LUA_API const char *lua_pushvfstring(lua_State *, const char *format, va_list);
LUA_API const char *lua_pushfstring(lua_State *, const char *format, ...);
LUA_API void lua_pushcclosure(lua_State *, lua_CFunction, int upvalues);
LUA_API void lua_pushboolean(lua_State *, int);
LUA_API void lua_pushlightuserdata(lua_State *, void *);
LUA_API int lua_pushthread(lua_State *);
LUA_API void *lua_newuserdata(lua_State *, size_t size);

/* Tables, metatables, environments. */
LUA_API void lua_createtable(lua_State *, int array, int hash);
LUA_API void lua_gettable(lua_State *, int index);
LUA_API void lua_getfield(lua_State *, int index, const char *name);
LUA_API void lua_rawget(lua_State *, int index);
LUA_API void lua_rawgeti(lua_State *, int index, int n);
LUA_API void lua_settable(lua_State *, int index);
LUA_API void lua_setfield(lua_State *, int index, const char *name);
LUA_API void lua_rawset(lua_State *, int index);
LUA_API void lua_rawseti(lua_State *, int index, int n);
LUA_API int lua_getmetatable(lua_State *, int index);
LUA_API int lua_setmetatable(lua_State *, int index);
LUA_API void lua_getfenv(lua_State *, int index);
LUA_API int lua_setfenv(lua_State *, int index);
LUA_API int lua_next(lua_State *, int index);
LUA_API void lua_concat(lua_State *, int n);

/* Calls, errors, chunks. */
LUA_API void lua_call(lua_State *, int nargs, int nresults);
LUA_API int lua_pcall(lua_State *, int nargs, int nresults, int handler);
LUA_API int lua_cpcall(lua_State *, lua_CFunction, void *data);
LUA_API int lua_error(lua_State *);
LUA_API int lua_load(lua_State *, lua_Reader, void *data, const char *name);
LUA_API int lua_loadx(lua_State *, lua_Reader, void *data, const char *name, const char *mode);
LUA_API int lua_dump(lua_State *, lua_Writer, void *data);

/* The collector. */
#define LUA_GCSTOP 0
#define LUA_GCRESTART 1
#define LUA_GCCOLLECT 2
#define LUA_GCCOUNT 3
#define LUA_GCCOUNTB 4
#define LUA_GCSTEP 5
#define LUA_GCSETPAUSE 6
#define LUA_GCSETSTEPMUL 7
#define LUA_GCISRUNNING 9
LUA_API int lua_gc(lua_State *, int what, int data);
LUA_API lua_Alloc lua_getallocf(lua_State *, void **data);
LUA_API void lua_setallocf(lua_State *, lua_Alloc, void *data);

/* Debugging. */
#define LUA_HOOKCALL 0
#define LUA_HOOKRET 1
#define LUA_HOOKLINE 2
#define LUA_HOOKCOUNT 3
#define LUA_MASKCALL (1 << LUA_HOOKCALL)
#define LUA_MASKRET (1 << LUA_HOOKRET)
#define LUA_MASKLINE (1 << LUA_HOOKLINE)
#define LUA_MASKCOUNT (1 << LUA_HOOKCOUNT)
struct lua_Debug {
  int event;
  const char *name;           /* n */
  const char *namewhat;       /* n */
  const char *what;           /* S */
  const char *source;         /* S */
  int currentline;            /* l */
  int nups;                   /* u */
  int linedefined;            /* S */
  int lastlinedefined;        /* S */
  char short_src[LUA_IDSIZE]; /* S */
  int i_ci;                   /* private */
};
LUA_API int lua_getstack(lua_State *, int level, lua_Debug *);
LUA_API int lua_getinfo(lua_State *, const char *what, lua_Debug *);
LUA_API const char *lua_getlocal(lua_State *, const lua_Debug *, int n);
LUA_API const char *lua_setlocal(lua_State *, const lua_Debug *, int n);
LUA_API const char *lua_getupvalue(lua_State *, int index, int n);
LUA_API const char *lua_setupvalue(lua_State *, int index, int n);
LUA_API void *lua_upvalueid(lua_State *, int index, int n);
LUA_API void lua_upvaluejoin(lua_State *, int f, int n, int g, int m);
LUA_API int lua_sethook(lua_State *, lua_Hook, int mask, int count);
LUA_API lua_Hook lua_gethook(lua_State *);
LUA_API int lua_gethookmask(lua_State *);
LUA_API int lua_gethookcount(lua_State *);

/* Combinations. */
#define lua_pop(L, n) lua_settop(L, -(n)-1)
#define lua_newtable(L) lua_createtable(L, 0, 0)
#define lua_register(L, n, f) (lua_pushcfunction(L, (f)), lua_setglobal(L, (n)))
#define lua_pushcfunction(L, f) lua_pushcclosure(L, (f), 0)
#define lua_strlen(L, i) lua_objlen(L, (i))
#define lua_isfunction(L, n) (lua_type(L, (n)) == LUA_TFUNCTION)
#define lua_istable(L, n) (lua_type(L, (n)) == LUA_TTABLE)
#define lua_islightuserdata(L, n) (lua_type(L, (n)) == LUA_TLIGHTUSERDATA)
#define lua_isnil(L, n) (lua_type(L, (n)) == LUA_TNIL)
#define lua_isboolean(L, n) (lua_type(L, (n)) == LUA_TBOOLEAN)
#define lua_isthread(L, n) (lua_type(L, (n)) == LUA_TTHREAD)
#define lua_isnone(L, n) (lua_type(L, (n)) == LUA_TNONE)
#define lua_isnoneornil(L, n) (lua_type(L, (n)) <= 0)
#define lua_pushliteral(L, s) lua_pushlstring(L, "" s, sizeof(s) - 1)
#define lua_setglobal(L, s) lua_setfield(L, LUA_GLOBALSINDEX, (s))
#define lua_getglobal(L, s) lua_getfield(L, LUA_GLOBALSINDEX, (s))
#define lua_tostring(L, i) lua_tolstring(L, (i), NULL)
#define lua_open() luaL_newstate()
#define lua_getregistry(L) lua_pushvalue(L, LUA_REGISTRYINDEX)
#define lua_getgccount(L) lua_gc(L, LUA_GCCOUNT, 0)

#endif
