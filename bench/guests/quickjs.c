/* QuickJS running quickjs.js: the script is the first argument, the units the second. */
#include "quickjs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static JSValue print(JSContext *context, JSValueConst this_value, int argc, JSValueConst *argv)
{
    (void)this_value;
    for (int i = 0; i < argc; i++) {
        const char *text = JS_ToCString(context, argv[i]);
        printf("%s%s", i ? " " : "", text ? text : "?");
        JS_FreeCString(context, text);
    }
    putchar('\n');
    return JS_UNDEFINED;
}

int main(int argc, char **argv)
{
    static char source[1 << 16];
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!file) {
        fprintf(stderr, "usage: %s SCRIPT [UNITS OF WORK]\n", argv[0]);
        return 2;
    }
    size_t size = fread(source, 1, sizeof source - 1, file);
    fclose(file);
    JSRuntime *runtime = JS_NewRuntime();
    JSContext *context = JS_NewContext(runtime);
    JSValue global = JS_GetGlobalObject(context);
    JS_SetPropertyStr(context, global, "print", JS_NewCFunction(context, print, "print", 1));
    JS_SetPropertyStr(context, global, "units", JS_NewInt64(context, argc > 2 ? atoll(argv[2]) : 10));
    JS_FreeValue(context, global);
    JSValue result = JS_Eval(context, source, size, argv[1], JS_EVAL_TYPE_GLOBAL);
    int failed = JS_IsException(result);
    if (failed) {
        JSValue error = JS_GetException(context);
        const char *text = JS_ToCString(context, error);
        fprintf(stderr, "quickjs: %s\n", text ? text : "exception");
        JS_FreeCString(context, text);
        JS_FreeValue(context, error);
    }
    JS_FreeValue(context, result);
    JS_FreeContext(context);
    JS_FreeRuntime(runtime);
    return failed;
}
