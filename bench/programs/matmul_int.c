/* Integer matrix multiply, 32 and 64 bits wide. */
#include "bench.h"

enum { N = 64 };
static int32_t a[N][N], b[N][N], c[N][N];
static uint64_t p[N][N], q[N][N], r[N][N];

__attribute__((noinline)) static void narrow(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            int32_t s = 0;
            for (int k = 0; k < N; k++)
                s += a[i][k] * b[k][j];
            c[i][j] = s & 0xffff;
        }
}

__attribute__((noinline)) static void wide(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++)
            r[i][j] = 0;
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                r[i][j] += p[i][k] * q[k][j];
    }
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {23};
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (int32_t)rng_below(&rng, 100);
            b[i][j] = (int32_t)rng_below(&rng, 100);
            p[i][j] = rng_next(&rng);
            q[i][j] = rng_next(&rng);
        }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 18; bench_tick(++u, 18)) {
        narrow();
        wide();
        sum = mix(sum, (uint64_t)c[u % N][u % 5] + r[u % N][u % 7]);
        a[u % N][u % 3] = (int32_t)(sum % 100);
        p[u % N][u % 11] = sum;
    }
    return bench_done("matmul_int", sum);
}
