/* zstd: compress and decompress generated text at levels 1, 3 and 9, and compare. */
#include "data.h"
#include "zstd.h"

int main(int argc, char **argv)
{
    enum { N = 200000 };
    static char plain[N], packed[2 * N], again[N];
    static const int levels[] = {1, 3, 9};
    unsigned long units = bench_units(argc, argv, 40);
    ZSTD_CCtx *compressor = ZSTD_createCCtx();
    ZSTD_DCtx *decompressor = ZSTD_createDCtx();
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        generate_text(plain, N, u + 1);
        for (int k = 0; k < 3; k++) {
            size_t packed_size = ZSTD_compressCCtx(compressor, packed, sizeof packed, plain, N, levels[k]);
            size_t size = ZSTD_isError(packed_size) ? packed_size : ZSTD_decompressDCtx(decompressor, again, N, packed, packed_size);
            if (ZSTD_isError(size) || size != N || memcmp(plain, again, N) != 0) {
                fprintf(stderr, "zstd: round trip failed: %s\n", ZSTD_getErrorName(size));
                return 1;
            }
            sum = mix(sum, packed_size);
            for (size_t i = 0; i < packed_size; i += 64)
                sum = mix(sum, (unsigned char)packed[i]);
        }
    }
    ZSTD_freeCCtx(compressor);
    ZSTD_freeDCtx(decompressor);
    return bench_done("zstd", sum);
}
