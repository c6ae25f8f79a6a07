/* Many small calls into libc, through the PLT: memcpy, memset, strlen, strcmp,
 * memchr of a few bytes, whose best versions use AVX. */
#include "bench.h"

int main(int argc, char **argv)
{
    enum { SLOTS = 256, SIZE = 96 };
    static char slot[SLOTS][SIZE];
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {53};
    for (int i = 0; i < SLOTS; i++) {
        size_t n = 4 + rng_below(&rng, SIZE - 6);
        for (size_t j = 0; j < n; j++)
            slot[i][j] = (char)('a' + rng_below(&rng, 20));
    }
    uint64_t sum = 1;
    char copy[SIZE];
    for (unsigned long u = 0; u < units; bench_tick(++u, 1))
        for (int i = 0; i < 60000; i++) {
            const char *from = slot[(sum >> 16) % SLOTS];
            size_t n = strlen(from);
            memset(copy, (int)(n & 15), 1 + (sum >> 40) % 64);
            memcpy(copy, from, n + 1);
            const char *e = memchr(copy, 'e', n);
            int order = strcmp(copy, slot[i % SLOTS]);
            sum = mix(sum, n + (uint64_t)(e ? e - copy : 99) + (order < 0 ? 7 : order > 0 ? 11 : 13));
        }
    return bench_done("libc_small", sum);
}
