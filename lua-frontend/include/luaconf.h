/* For sources that include it by name: everything is in lua.h. */
#include "lua.h"
