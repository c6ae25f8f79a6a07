/* Searching text: a naive byte loop, Horspool's skip table, and KMP. */
#include "bench.h"

enum { N = 60000, M = 12 };
static char text[N + 1];

__attribute__((noinline)) static unsigned naive(const char *t, int n, const char *p, int m)
{
    unsigned hits = 0;
    for (int i = 0; i + m <= n; i++) {
        int j = 0;
        while (j < m && t[i + j] == p[j])
            j++;
        hits += j == m;
    }
    return hits;
}

__attribute__((noinline)) static unsigned horspool(const char *t, int n, const char *p, int m)
{
    int skip[256];
    for (int i = 0; i < 256; i++)
        skip[i] = m;
    for (int i = 0; i < m - 1; i++)
        skip[(unsigned char)p[i]] = m - 1 - i;
    unsigned hits = 0;
    for (int i = 0; i + m <= n; i += skip[(unsigned char)t[i + m - 1]]) {
        int j = m - 1;
        while (j >= 0 && t[i + j] == p[j])
            j--;
        hits += j < 0;
    }
    return hits;
}

__attribute__((noinline)) static unsigned kmp(const char *t, int n, const char *p, int m)
{
    int back[M + 1];
    back[0] = -1;
    for (int i = 0, j = -1; i < m;) {
        while (j >= 0 && p[i] != p[j])
            j = back[j];
        back[++i] = ++j;
    }
    unsigned hits = 0;
    for (int i = 0, j = 0; i < n; i++) {
        while (j >= 0 && t[i] != p[j])
            j = back[j];
        if (++j == m) {
            hits++;
            j = back[j];
        }
    }
    return hits;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {13};
    for (int i = 0; i < N; i++)
        text[i] = "abcd"[rng_below(&rng, 4)];
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 8; bench_tick(++u, 8)) {
        int m = 3 + (int)(u % (M - 3));
        const char *p = text + (u * 131) % (N - M);
        sum = mix(sum, naive(text, N, p, m) * UINT64_C(1000003) + horspool(text, N, p, m) * 997 + kmp(text, N, p, m));
        text[u % N] = "abcd"[sum & 3];
    }
    return bench_done("strsearch", sum);
}
