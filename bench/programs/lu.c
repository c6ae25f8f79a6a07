/* LU decomposition in place: a triangular nest, loop bounds that change. */
#include "bench.h"

enum { N = 120 };
static double a[N][N], original[N][N];

__attribute__((noinline)) static void kernel(int n)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++) {
            for (int k = 0; k < j; k++)
                a[i][j] -= a[i][k] * a[k][j];
            a[i][j] /= a[j][j];
        }
        for (int j = i; j < n; j++)
            for (int k = 0; k < i; k++)
                a[i][j] -= a[i][k] * a[k][j];
    }
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {3};
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            original[i][j] = rng_below(&rng, 1000) / 1000.0 + (i == j ? N : 0);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 8; bench_tick(++u, 8)) {
        memcpy(a, original, sizeof a);
        kernel(N);
        sum = mix_f64(sum, a[N - 1][N - 1]);
        original[u % N][(u / N) % N] += 0.001;
    }
    return bench_done("lu", sum);
}
