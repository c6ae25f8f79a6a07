/* SSE arithmetic between calls that use AVX. A processor runs SSE code slowly while
 * the upper halves of its vector registers hold something; the compiler clears them
 * behind each AVX function. A runner that restores them for no reason is seen here. */
#include "bench.h"
#include <immintrin.h>

enum { N = 512 };
static double a[N], b[N];
static float f[N];

__attribute__((target("avx2"), noinline)) static void with_avx(float *p, float by)
{
    __m256 k = _mm256_set1_ps(by);
    for (int i = 0; i < N; i += 8)
        _mm256_storeu_ps(p + i, _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(p + i), k), _mm256_set1_ps(0.5f)));
}

__attribute__((noinline)) static void with_sse(float *p, float by)
{
    for (int i = 0; i < N; i++)
        p[i] = p[i] * by + 0.5f;
}

__attribute__((noinline)) static double sse_work(double x)
{
    for (int i = 1; i < N - 1; i++)
        b[i] = 0.333 * (a[i - 1] + a[i] + a[i + 1]) + x;
    for (int i = 1; i < N - 1; i++)
        a[i] = 0.333 * (b[i - 1] + b[i] + b[i + 1]) - x;
    return a[N / 2];
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    int avx = __builtin_cpu_supports("avx2");
    for (int i = 0; i < N; i++) {
        a[i] = i / (double)N;
        f[i] = (float)i;
    }
    uint64_t sum = 1;
    double x = 0.001;
    for (unsigned long u = 0; u < units * 6000; bench_tick(++u, 6000)) {
        if (avx)
            with_avx(f, 0.75f);
        else
            with_sse(f, 0.75f);
        x = sse_work(x * 0.5) * 0.01;
    }
    for (int i = 0; i < N; i++)
        sum = mix_f64(mix_f64(sum, a[i]), f[i]);
    return bench_done("avx_mix", sum);
}
