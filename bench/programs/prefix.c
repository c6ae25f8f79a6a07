/* Prefix sums, a histogram and a counting sort: loops whose iterations depend on
 * each other through memory. */
#include "bench.h"

enum { N = 8192, BUCKETS = 256 };
static uint32_t input[N], sums[N], output[N];
static uint32_t histogram[BUCKETS];

__attribute__((noinline)) static void kernel(int shift)
{
    sums[0] = input[0];
    for (int i = 1; i < N; i++)
        sums[i] = sums[i - 1] + input[i];
    for (int i = 0; i < BUCKETS; i++)
        histogram[i] = 0;
    for (int i = 0; i < N; i++)
        histogram[(sums[i] >> shift) & (BUCKETS - 1)]++;
    uint32_t start = 0;
    for (int i = 0; i < BUCKETS; i++) {
        uint32_t n = histogram[i];
        histogram[i] = start;
        start += n;
    }
    for (int i = 0; i < N; i++)
        output[histogram[(sums[i] >> shift) & (BUCKETS - 1)]++] = sums[i];
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {17};
    for (int i = 0; i < N; i++)
        input[i] = (uint32_t)rng_next(&rng);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 250; bench_tick(++u, 250)) {
        kernel((int)(u % 24));
        sum = mix(sum, output[u % N]);
        input[u % N] = (uint32_t)sum;
    }
    return bench_done("prefix", sum);
}
