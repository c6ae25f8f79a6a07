/* A small LZ77 compressor with hash chains of one, and its decompressor. */
#include "bench.h"

enum { N = 100000, HASH = 1 << 13, LONGEST = 127 };
static unsigned char plain[N], packed[2 * N], again[N];
static int32_t head[HASH];

static uint32_t three(const unsigned char *p) { return ((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]) * UINT32_C(2654435761) >> 19; }

/* Token: a byte below 128 is that many literals plus one; otherwise a match of
 * (byte & 127) + 3 bytes, followed by two bytes of distance. */
__attribute__((noinline)) static size_t pack(const unsigned char *in, size_t n, unsigned char *out)
{
    size_t o = 0, i = 0, literals = 0;
    for (int k = 0; k < HASH; k++)
        head[k] = -1;
    while (i < n) {
        size_t length = 0, distance = 0;
        if (i + 3 < n) {
            uint32_t h = three(in + i);
            int32_t candidate = head[h];
            head[h] = (int32_t)i;
            if (candidate >= 0 && i - (size_t)candidate < 65536) {
                while (i + length < n && length < LONGEST + 3 && in[(size_t)candidate + length] == in[i + length])
                    length++;
                distance = i - (size_t)candidate;
            }
        }
        if (length >= 4) {
            if (literals) {
                out[o++] = (unsigned char)(literals - 1);
                memcpy(out + o, in + i - literals, literals);
                o += literals;
                literals = 0;
            }
            out[o++] = (unsigned char)(128 | (length - 3));
            out[o++] = (unsigned char)distance;
            out[o++] = (unsigned char)(distance >> 8);
            i += length;
        } else {
            i++;
            if (++literals == 128) {
                out[o++] = 127;
                memcpy(out + o, in + i - 128, 128);
                o += 128;
                literals = 0;
            }
        }
    }
    if (literals) {
        out[o++] = (unsigned char)(literals - 1);
        memcpy(out + o, in + i - literals, literals);
        o += literals;
    }
    return o;
}

__attribute__((noinline)) static size_t unpack(const unsigned char *in, size_t n, unsigned char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < n;) {
        unsigned char token = in[i++];
        if (token < 128) {
            for (int k = 0; k <= token; k++)
                out[o++] = in[i++];
        } else {
            size_t length = (token & 127u) + 3, distance = in[i] | (size_t)in[i + 1] << 8;
            i += 2;
            for (size_t k = 0; k < length; k++, o++)
                out[o] = out[o - distance];
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {67};
    for (size_t i = 0; i < N;) {
        if (i > 200 && rng_below(&rng, 3)) {
            size_t from = rng_below(&rng, (uint32_t)i - 100), length = 4 + rng_below(&rng, 40);
            while (length-- && i < N)
                plain[i++] = plain[from++];
        } else {
            plain[i++] = (unsigned char)("etaoin shrdlu"[rng_below(&rng, 13)]);
        }
    }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 4; bench_tick(++u, 4)) {
        size_t n = pack(plain, N, packed);
        size_t m = unpack(packed, n, again);
        if (m != N || memcmp(plain, again, N) != 0) {
            puts("lz: round trip failed");
            return 1;
        }
        sum = mix(sum, n);
        plain[u % N] = (unsigned char)(sum & 127);
    }
    return bench_done("lz", sum);
}
