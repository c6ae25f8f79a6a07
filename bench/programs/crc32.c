/* CRC-32 by table, one byte at a time, and bit by bit; Adler-32. */
#include "bench.h"

static uint32_t table[256];
static unsigned char data[16384];

__attribute__((noinline)) static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t n)
{
    crc = ~crc;
    while (n--)
        crc = table[(crc ^ *p++) & 255] ^ (crc >> 8);
    return ~crc;
}

__attribute__((noinline)) static uint32_t by_bit(uint32_t crc, const unsigned char *p, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
    }
    return ~crc;
}

__attribute__((noinline)) static uint32_t adler(uint32_t seed, const unsigned char *p, size_t n)
{
    uint32_t a = seed & 0xffff, b = seed >> 16;
    for (size_t i = 0; i < n; i++) {
        a = (a + p[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c >> 1) ^ (c & 1 ? UINT32_C(0xEDB88320) : 0);
        table[i] = c;
    }
    struct rng rng = {19};
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)rng_next(&rng);
    uint32_t crc = 0, check = 1;
    for (unsigned long u = 0; u < units * 60; bench_tick(++u, 60)) {
        crc = by_table(crc, data, sizeof data);
        crc = by_bit(crc, data, 2048);
        check = adler(check, data, 8192);
        data[u % sizeof data] ^= (unsigned char)(crc ^ check);
    }
    return bench_done("crc32", mix(crc, check));
}
