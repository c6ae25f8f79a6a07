/* Integer dynamic programming: longest common subsequence and edit distance. */
#include "bench.h"

enum { N = 400 };
static unsigned char left[N], right[N];
static int32_t table[N + 1][N + 1], edit[2][N + 1];

static inline int32_t max2(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int32_t min2(int32_t a, int32_t b) { return a < b ? a : b; }

__attribute__((noinline)) static int32_t lcs(void)
{
    for (int i = 1; i <= N; i++)
        for (int j = 1; j <= N; j++)
            table[i][j] = left[i - 1] == right[j - 1] ? table[i - 1][j - 1] + 1
                                                      : max2(table[i - 1][j], table[i][j - 1]);
    return table[N][N];
}

__attribute__((noinline)) static int32_t distance(void)
{
    for (int j = 0; j <= N; j++)
        edit[0][j] = j;
    for (int i = 1; i <= N; i++) {
        int32_t *up = edit[(i - 1) & 1], *row = edit[i & 1];
        row[0] = i;
        for (int j = 1; j <= N; j++)
            row[j] = min2(min2(up[j], row[j - 1]) + 1, up[j - 1] + (left[i - 1] != right[j - 1]));
    }
    return edit[N & 1][N];
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {31};
    for (int i = 0; i < N; i++) {
        left[i] = (unsigned char)rng_below(&rng, 6);
        right[i] = (unsigned char)rng_below(&rng, 6);
    }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 14; bench_tick(++u, 14)) {
        sum = mix(sum, (uint64_t)lcs());
        sum = mix(sum, (uint64_t)distance());
        left[u % N] = (unsigned char)(sum % 6);
    }
    return bench_done("dp_lcs", sum);
}
