/* zlib: deflate and inflate generated text at levels 1, 6 and 9, and compare. */
#include "data.h"
#include "zlib.h"

int main(int argc, char **argv)
{
    enum { N = 100000 };
    static Bytef plain[N], packed[N + N / 50 + 1000], again[N];
    static const int levels[] = {1, 6, 9};
    unsigned long units = bench_units(argc, argv, 40);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        generate_text((char *)plain, N, u + 1);
        for (int k = 0; k < 3; k++) {
            uLongf packed_size = sizeof packed, size = N;
            int code = compress2(packed, &packed_size, plain, N, levels[k]);
            if (code != Z_OK || (code = uncompress(again, &size, packed, packed_size)) != Z_OK || size != N || memcmp(plain, again, N) != 0) {
                fprintf(stderr, "zlib: round trip failed (%d)\n", code);
                return 1;
            }
            sum = mix(sum, packed_size + crc32(0, packed, (uInt)packed_size));
        }
    }
    return bench_done("zlib", sum);
}
