/* A packet filter whose traffic changes: it gets hot on packets of one kind, and all its work is on those
 * of the other, which leave the first path in the middle of the loop. */
#include "bench.h"

enum { PACKETS = 4096, SIZE = 64, TCP = 6, UDP = 17 };
static unsigned char packets[PACKETS][SIZE];
static struct { uint32_t network, mask; } rule = {0x0a000000, 0xff000000};
struct counts { uint64_t accepted, rejected, bytes, hash; };

static uint32_t get32(const unsigned char *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static uint32_t get16(const unsigned char *p) { return (uint32_t)p[0] << 8 | p[1]; }

static void fill(struct rng *r, unsigned udp_percent)
{
    for (int i = 0; i < PACKETS; i++) {
        for (int k = 0; k < SIZE; k++)
            packets[i][k] = (unsigned char)(rng_next(r) >> 32);
        packets[i][12] = 8;
        packets[i][13] = 0;
        packets[i][26] = 10;
        packets[i][23] = (rng_next(r) >> 40) % 100 < udp_percent ? UDP : TCP;
    }
}

__attribute__((noinline)) static void filter(struct counts *c)
{
    for (int i = 0; i < PACKETS; i++) {
        const unsigned char *p = packets[i];
        if (get16(p + 12) != 0x800 || (get32(p + 26) & rule.mask) != rule.network) {
            c->rejected++;
            continue;
        }
        c->accepted++;
        if (p[23] == TCP) {
            c->bytes += get16(p + 16);
            c->hash = c->hash * 31 + p[30];
        } else {
            c->bytes += get16(p + 18);
            c->hash = c->hash * 33 + p[31];
        }
    }
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 100);
    struct rng r = {88172645463325252u};
    struct counts c = {0};
    fill(&r, 2);
    for (int n = 0; n < 10; n++)
        filter(&c);
    fill(&r, 98);
    for (unsigned long u = 0; u < units; u++)
        filter(&c);
    return bench_done("filter_sides", mix(mix(c.accepted, c.rejected), mix(c.bytes, c.hash)));
}
