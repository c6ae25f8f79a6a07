/* Mutual recursion: a recursive-descent evaluator of random expressions, and
 * Hofstadter's female and male sequences. */
#include "bench.h"

static const char *cursor;
static long expression(void);

__attribute__((noinline)) static long primary(void)
{
    if (*cursor == '(') {
        cursor++;
        long v = expression();
        cursor++;
        return v;
    }
    if (*cursor == '-') {
        cursor++;
        return -primary();
    }
    long v = 0;
    while (*cursor >= '0' && *cursor <= '9')
        v = v * 10 + (*cursor++ - '0');
    return v;
}

__attribute__((noinline)) static long term(void)
{
    long v = primary();
    while (*cursor == '*' || *cursor == '%') {
        char op = *cursor++;
        long w = primary();
        v = op == '*' ? (long)((unsigned long)v * (unsigned long)w % 1000003) : v % ((w & 1023) + 1);
    }
    return v;
}

__attribute__((noinline)) static long expression(void)
{
    long v = term();
    while (*cursor == '+' || *cursor == '-')
        v = *cursor++ == '+' ? v + term() : v - term();
    return v;
}

static char *generate(char *out, struct rng *rng, int depth)
{
    if (depth == 0 || rng_below(rng, 5) == 0) {
        out += sprintf(out, "%u", (unsigned)rng_below(rng, 5000));
        return out;
    }
    *out++ = '(';
    out = generate(out, rng, depth - 1);
    *out++ = "+-*%"[rng_below(rng, 4)];
    out = generate(out, rng, depth - 1);
    *out++ = ')';
    *out = '\0';
    return out;
}

static unsigned male(unsigned n);
__attribute__((noinline)) static unsigned female(unsigned n) { return n == 0 ? 1 : n - male(female(n - 1)); }
__attribute__((noinline)) static unsigned male(unsigned n) { return n == 0 ? 0 : n - female(male(n - 1)); }

int main(int argc, char **argv)
{
    static char text[16][1 << 16];
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {7};
    for (int i = 0; i < 16; i++)
        generate(text[i], &rng, 11);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        for (int i = 0; i < 48; i++) {
            cursor = text[(i + u) % 16];
            sum = mix(sum, (uint64_t)expression());
        }
        sum = mix(sum, female(30 + (unsigned)(sum % 16)));
        sum = mix(sum, male(40 + (unsigned)(sum % 8)));
    }
    return bench_done("mutual", sum);
}
