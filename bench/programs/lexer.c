/* A lexer for a C-like language with keyword lookup and an identifier table. */
#include "bench.h"

enum token { T_END, T_IDENT, T_KEYWORD, T_NUMBER, T_STRING, T_OPERATOR };

static const char *const keywords[] = {"if", "else", "while", "for", "return", "int", "char", "struct", "static", "const", "void", "switch", "case", "break"};
enum { KEYWORDS = sizeof keywords / sizeof keywords[0], TABLE = 1024 };
static struct {
    const char *start;
    uint32_t length, count;
} names[TABLE];

static int is_word(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

static uint32_t intern(const char *start, uint32_t length)
{
    uint32_t h = 5381;
    for (uint32_t i = 0; i < length; i++)
        h = h * 33 ^ (unsigned char)start[i];
    for (;; h++) {
        uint32_t at = h % TABLE;
        if (!names[at].start) {
            names[at].start = start;
            names[at].length = length;
        }
        if (names[at].length == length && memcmp(names[at].start, start, length) == 0) {
            names[at].count++;
            return at;
        }
    }
}

__attribute__((noinline)) static enum token next(const char **p, uint64_t *value)
{
    const char *s = *p;
    for (;;) {
        while (*s == ' ' || *s == '\n')
            s++;
        if (s[0] != '/' || s[1] != '*')
            break;
        for (s += 2; s[0] != '*' || s[1] != '/'; s++) {
        }
        s += 2;
    }
    const char *start = s;
    enum token kind;
    switch (*s) {
    case '\0': kind = T_END; break;
    case '0' ... '9':
        kind = T_NUMBER;
        *value = 0;
        for (; *s >= '0' && *s <= '9'; s++)
            *value = *value * 10 + (uint64_t)(*s - '0');
        break;
    case '"':
        kind = T_STRING;
        for (s++; *s != '"'; s++)
            s += *s == '\\';
        s++;
        *value = (uint64_t)(s - start);
        break;
    case 'a' ... 'z':
    case 'A' ... 'Z':
    case '_': {
        while (is_word(*s))
            s++;
        uint32_t length = (uint32_t)(s - start);
        for (int k = 0; k < KEYWORDS; k++)
            if (keywords[k][0] == *start && strlen(keywords[k]) == length && memcmp(keywords[k], start, length) == 0) {
                *value = (uint64_t)k;
                *p = s;
                return T_KEYWORD;
            }
        kind = T_IDENT;
        *value = intern(start, length);
        break;
    }
    default:
        kind = T_OPERATOR;
        *value = (unsigned char)*s++;
        if (*s == '=' || (*s == start[0] && (*s == '+' || *s == '-' || *s == '&' || *s == '|')))
            *value = *value << 8 | (unsigned char)*s++;
        break;
    }
    *p = s;
    return kind;
}

int main(int argc, char **argv)
{
    static char text[100000];
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {61};
    char *out = text;
    while (out - text < 99000) {
        switch (rng_below(&rng, 8)) {
        case 0: out += sprintf(out, "if (var%u >= %u) ", (unsigned)rng_below(&rng, 80), (unsigned)rng_below(&rng, 5000)); break;
        case 1: out += sprintf(out, "return name_%u++;\n", (unsigned)rng_below(&rng, 90)); break;
        case 2: out += sprintf(out, "/* a remark, number %u */\n", (unsigned)rng_below(&rng, 100)); break;
        case 3: out += sprintf(out, "static const char *s%u = \"te\\\"xt %u\";\n", (unsigned)rng_below(&rng, 30), (unsigned)rng_below(&rng, 30)); break;
        default: out += sprintf(out, "x%u = y%u * %u + f(z, %u);\n", (unsigned)rng_below(&rng, 60), (unsigned)rng_below(&rng, 60), (unsigned)rng_below(&rng, 100), (unsigned)rng_below(&rng, 100)); break;
        }
    }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 6; bench_tick(++u, 6)) {
        const char *p = text;
        uint64_t value = 0, local = 0;
        enum token kind;
        while ((kind = next(&p, &value)) != T_END)
            local = local * 7 + kind + value;
        sum = mix(sum, local);
    }
    return bench_done("lexer", sum);
}
