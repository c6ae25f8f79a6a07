/* libc's qsort with a comparison callback: calls from a library into the program. */
#include "bench.h"

struct record {
    uint32_t key;
    uint32_t payload;
};

static int by_key(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->payload < y->payload ? -1 : x->payload > y->payload;
}

int main(int argc, char **argv)
{
    enum { N = 20000 };
    static struct record records[N];
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {99};
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        for (int i = 0; i < N; i++)
            records[i] = (struct record){(uint32_t)rng_next(&rng) % 50000, (uint32_t)i};
        qsort(records, N, sizeof records[0], by_key);
        for (int i = 0; i < N; i += 97)
            sum = mix(sum, records[i].key * UINT64_C(65536) + records[i].payload);
    }
    return bench_done("qsort_cb", sum);
}
