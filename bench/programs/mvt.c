/* Matrix-vector products, one along rows and one along columns, accumulating in
 * memory. */
#include "bench.h"

enum { N = 200 };
static double a[N][N], x1[N], x2[N], y1[N], y2[N];

__attribute__((noinline)) static void kernel(int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            x1[i] = x1[i] + a[i][j] * y1[j];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            x2[i] = x2[i] + a[j][i] * y2[j];
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    for (int i = 0; i < N; i++) {
        x1[i] = (i % N) / (double)N;
        x2[i] = ((i + 1) % N) / (double)N;
        y1[i] = ((i + 3) % N) / (double)N;
        y2[i] = ((i + 4) % N) / (double)N;
        for (int j = 0; j < N; j++)
            a[i][j] = (i * j % N) / (double)N;
    }
    for (unsigned long u = 0; u < units * 60; bench_tick(++u, 60))
        kernel(N);
    uint64_t sum = 1;
    for (int i = 0; i < N; i++)
        sum = mix_f64(mix_f64(sum, x1[i]), x2[i]);
    return bench_done("mvt", sum);
}
