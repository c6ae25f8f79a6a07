/* bzip2: compress and decompress generated text, and compare. */
#include "data.h"
#include "bzlib.h"

void bz_internal_error(int code)
{
    fprintf(stderr, "bzip2: internal error %d\n", code);
    exit(1);
}

int main(int argc, char **argv)
{
    enum { N = 60000 };
    static char plain[N], packed[N + N / 50 + 1000], again[N];
    unsigned long units = bench_units(argc, argv, 40);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        unsigned packed_size = sizeof packed, size = N;
        generate_text(plain, N, u + 1);
        int code = BZ2_bzBuffToBuffCompress(packed, &packed_size, plain, N, 9, 0, 30);
        if (code != BZ_OK || (code = BZ2_bzBuffToBuffDecompress(again, &size, packed, packed_size, 0, 0)) != BZ_OK || size != N ||
            memcmp(plain, again, N) != 0) {
            fprintf(stderr, "bzip2: round trip failed (%d)\n", code);
            return 1;
        }
        sum = mix(sum, packed_size);
        for (unsigned i = 0; i < packed_size; i += 64)
            sum = mix(sum, (unsigned char)packed[i]);
    }
    return bench_done("bzip2", sum);
}
