/* Reductions: dot product of doubles (the order of additions is fixed), sum and
 * maximum of integers, saxpy of floats. */
#include "bench.h"

enum { N = 4096 };
static double x[N], y[N];
static float fx[N], fy[N];
static int32_t v[N];

__attribute__((noinline)) static double dot(const double *p, const double *q, int n)
{
    double s = 0.0;
    for (int i = 0; i < n; i++)
        s += p[i] * q[i];
    return s;
}

__attribute__((noinline)) static void saxpy(float k, const float *restrict p, float *restrict q, int n)
{
    for (int i = 0; i < n; i++)
        q[i] = k * p[i] + q[i] * 0.5f;
}

__attribute__((noinline)) static int64_t total(const int32_t *p, int n)
{
    int64_t s = 0;
    for (int i = 0; i < n; i++)
        s += p[i];
    return s;
}

__attribute__((noinline)) static int32_t largest(const int32_t *p, int n)
{
    int32_t m = p[0];
    for (int i = 1; i < n; i++)
        m = p[i] > m ? p[i] : m;
    return m;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {5};
    for (int i = 0; i < N; i++) {
        x[i] = rng_below(&rng, 1000) / 999.0;
        y[i] = rng_below(&rng, 1000) / 997.0;
        fx[i] = (float)x[i];
        fy[i] = (float)y[i];
        v[i] = (int32_t)rng_next(&rng) >> 4;
    }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 350; bench_tick(++u, 350)) {
        sum = mix_f64(sum, dot(x, y, N));
        saxpy(0.25f, fx, fy, N);
        sum = mix(sum, (uint64_t)total(v, N) + (uint64_t)largest(v, N));
        v[u % N] = (int32_t)(sum >> 36);
        x[u % N] = fy[u % N];
    }
    return bench_done("dot", sum);
}
