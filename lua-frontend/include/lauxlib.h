/* The auxiliary library of Lua 5.1 with LuaJIT's additions, as rjit exports it. */
#ifndef lauxlib_h
#define lauxlib_h

#include <stdio.h>
#include "lua.h"

#define LUA_ERRFILE (LUA_ERRERR + 1)
#define LUA_NOREF (-2)
#define LUA_REFNIL (-1)

typedef struct luaL_Reg {
  const char *name;
  lua_CFunction func;
} luaL_Reg;

/* Registration. */
LUALIB_API void luaL_register(lua_State *, const char *library, const luaL_Reg *);
LUALIB_API void luaL_openlib(lua_State *, const char *library, const luaL_Reg *, int upvalues);
LUALIB_API void luaL_setfuncs(lua_State *, const luaL_Reg *, int upvalues);
LUALIB_API void luaL_pushmodule(lua_State *, const char *name, int size);
LUALIB_API const char *luaL_findtable(lua_State *, int index, const char *name, int size);

/* Arguments. */
LUALIB_API int luaL_typerror(lua_State *, int arg, const char *wanted);
LUALIB_API int luaL_argerror(lua_State *, int arg, const char *message);
LUALIB_API const char *luaL_checklstring(lua_State *, int arg, size_t *len);
LUALIB_API const char *luaL_optlstring(lua_State *, int arg, const char *otherwise, size_t *len);
LUALIB_API lua_Number luaL_checknumber(lua_State *, int arg);
LUALIB_API lua_Number luaL_optnumber(lua_State *, int arg, lua_Number otherwise);
LUALIB_API lua_Integer luaL_checkinteger(lua_State *, int arg);
LUALIB_API lua_Integer luaL_optinteger(lua_State *, int arg, lua_Integer otherwise);
LUALIB_API void luaL_checkstack(lua_State *, int n, const char *message);
LUALIB_API void luaL_checktype(lua_State *, int arg, int type);
LUALIB_API void luaL_checkany(lua_State *, int arg);
LUALIB_API int luaL_checkoption(lua_State *, int arg, const char *otherwise, const char *const options[]);

/* Metatables by name. */
LUALIB_API int luaL_newmetatable(lua_State *, const char *name);
LUALIB_API void luaL_setmetatable(lua_State *, const char *name);
LUALIB_API void *luaL_checkudata(lua_State *, int arg, const char *name);
LUALIB_API void *luaL_testudata(lua_State *, int arg, const char *name);
LUALIB_API int luaL_getmetafield(lua_State *, int index, const char *name);
LUALIB_API int luaL_callmeta(lua_State *, int index, const char *name);

/* Errors and results. */
LUALIB_API void luaL_where(lua_State *, int level);
LUALIB_API int luaL_error(lua_State *, const char *format, ...);
LUALIB_API int luaL_fileresult(lua_State *, int ok, const char *name);
LUALIB_API int luaL_execresult(lua_State *, int status);
LUALIB_API void luaL_traceback(lua_State *, lua_State *of, const char *message, int level);

/* References. */
LUALIB_API int luaL_ref(lua_State *, int table);
LUALIB_API void luaL_unref(lua_State *, int table, int ref);

/* Chunks and states. */
LUALIB_API int luaL_loadfile(lua_State *, const char *name);
LUALIB_API int luaL_loadfilex(lua_State *, const char *name, const char *mode);
LUALIB_API int luaL_loadbuffer(lua_State *, const char *text, size_t size, const char *name);
LUALIB_API int luaL_loadbufferx(lua_State *, const char *text, size_t size, const char *name, const char *mode);
LUALIB_API int luaL_loadstring(lua_State *, const char *text);
LUALIB_API lua_State *luaL_newstate(void);
LUALIB_API const char *luaL_gsub(lua_State *, const char *text, const char *from, const char *to);

/* Strings under construction. */
#define LUAL_BUFFERSIZE 8192
typedef struct luaL_Buffer {
  char *p;
  int lvl;
  lua_State *L;
  char buffer[LUAL_BUFFERSIZE];
} luaL_Buffer;
LUALIB_API void luaL_buffinit(lua_State *, luaL_Buffer *);
LUALIB_API char *luaL_prepbuffer(luaL_Buffer *);
LUALIB_API void luaL_addlstring(luaL_Buffer *, const char *, size_t len);
LUALIB_API void luaL_addstring(luaL_Buffer *, const char *);
LUALIB_API void luaL_addvalue(luaL_Buffer *);
LUALIB_API void luaL_pushresult(luaL_Buffer *);
#define luaL_addchar(B, c) \
  ((void)((B)->p < ((B)->buffer + LUAL_BUFFERSIZE) || luaL_prepbuffer(B)), (*(B)->p++ = (char)(c)))
#define luaL_putchar(B, c) luaL_addchar(B, c)
#define luaL_addsize(B, n) ((B)->p += (n))

/* Combinations. */
#define luaL_argcheck(L, ok, arg, message) ((void)((ok) || luaL_argerror(L, (arg), (message))))
#define luaL_checkstring(L, n) luaL_checklstring(L, (n), NULL)
#define luaL_optstring(L, n, d) luaL_optlstring(L, (n), (d), NULL)
#define luaL_checkint(L, n) ((int)luaL_checkinteger(L, (n)))
#define luaL_optint(L, n, d) ((int)luaL_optinteger(L, (n), (d)))
#define luaL_checklong(L, n) ((long)luaL_checkinteger(L, (n)))
#define luaL_optlong(L, n, d) ((long)luaL_optinteger(L, (n), (d)))
#define luaL_typename(L, i) lua_typename(L, lua_type(L, (i)))
#define luaL_dofile(L, name) (luaL_loadfile(L, name) || lua_pcall(L, 0, LUA_MULTRET, 0))
#define luaL_dostring(L, text) (luaL_loadstring(L, text) || lua_pcall(L, 0, LUA_MULTRET, 0))
#define luaL_getmetatable(L, name) lua_getfield(L, LUA_REGISTRYINDEX, (name))
#define luaL_opt(L, f, n, d) (lua_isnoneornil(L, (n)) ? (d) : f(L, (n)))
#define luaL_newlibtable(L, list) lua_createtable(L, 0, sizeof(list) / sizeof((list)[0]) - 1)
#define luaL_newlib(L, list) (luaL_newlibtable(L, list), luaL_setfuncs(L, list, 0))
#define luaL_reg luaL_Reg

#endif
