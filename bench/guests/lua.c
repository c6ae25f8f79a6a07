/* Lua running lua.lua: the script is the first argument, the units the second. */
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s SCRIPT [UNITS OF WORK]\n", argv[0]);
        return 2;
    }
    lua_State *lua = luaL_newstate();
    luaL_openlibs(lua);
    lua_pushinteger(lua, argc > 2 ? atoll(argv[2]) : 10);
    lua_setglobal(lua, "units");
    int code = luaL_dofile(lua, argv[1]);
    if (code)
        fprintf(stderr, "lua: %s\n", lua_tostring(lua, -1));
    lua_close(lua);
    return code ? 1 : 0;
}
