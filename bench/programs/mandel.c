/* Escape-time fractal: scalar doubles, a data-dependent exit from the inner loop. */
#include "bench.h"

__attribute__((noinline)) static int escape(double cx, double cy, int limit)
{
    double x = 0, y = 0;
    int n = 0;
    while (n < limit && x * x + y * y < 4.0) {
        double t = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = t;
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1))
        for (int py = 0; py < 64; py++) {
            uint64_t row = 0;
            for (int px = 0; px < 96; px++)
                row += (uint64_t)escape(-2.0 + px / 32.0 + (double)(u % 16) * 0.001, -1.0 + py / 32.0, 200) * (uint64_t)(px + 1);
            sum = mix(sum, row);
        }
    return bench_done("mandel", sum);
}
