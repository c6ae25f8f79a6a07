/* Big integers: schoolbook multiply with carries, modular exponentiation by
 * Montgomery's method, long division by a word for printing. */
#include "bench.h"

enum { LIMBS = 16 };
typedef unsigned __int128 u128;

__attribute__((noinline)) static void multiply(uint64_t *out, const uint64_t *a, const uint64_t *b, int n)
{
    memset(out, 0, (size_t)(2 * n) * sizeof *out);
    for (int i = 0; i < n; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < n; j++) {
            u128 t = (u128)a[i] * b[j] + out[i + j] + carry;
            out[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        out[i + n] = carry;
    }
}

static int subtract(uint64_t *a, const uint64_t *b, int n)
{
    uint64_t borrow = 0;
    for (int i = 0; i < n; i++) {
        u128 t = (u128)a[i] - b[i] - borrow;
        a[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
    return (int)borrow;
}

/* out = t / 2^(64 n) mod m, where inverse = -m^-1 mod 2^64 and t < m 2^(64 n). */
__attribute__((noinline)) static void reduce(uint64_t *out, uint64_t *t, const uint64_t *m, uint64_t inverse, int n)
{
    uint64_t top = 0;
    for (int i = 0; i < n; i++) {
        uint64_t q = t[i] * inverse, carry = 0;
        for (int j = 0; j < n; j++) {
            u128 s = (u128)q * m[j] + t[i + j] + carry;
            t[i + j] = (uint64_t)s;
            carry = (uint64_t)(s >> 64);
        }
        u128 s = (u128)t[i + n] + carry + top;
        t[i + n] = (uint64_t)s;
        top = (uint64_t)(s >> 64);
    }
    memcpy(out, t + n, (size_t)n * sizeof *out);
    uint64_t tried[LIMBS];
    memcpy(tried, out, (size_t)n * sizeof *tried);
    if (!subtract(tried, m, n) || top)
        memcpy(out, tried, (size_t)n * sizeof *out);
}

__attribute__((noinline)) static uint64_t divide(uint64_t *a, uint64_t d, int n)
{
    u128 rest = 0;
    for (int i = n - 1; i >= 0; i--) {
        rest = rest << 64 | a[i];
        a[i] = (uint64_t)(rest / d);
        rest %= d;
    }
    return (uint64_t)rest;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {59};
    uint64_t m[LIMBS], x[LIMBS], base[LIMBS], t[2 * LIMBS];
    for (int i = 0; i < LIMBS; i++) {
        m[i] = rng_next(&rng);
        base[i] = rng_next(&rng);
    }
    m[0] |= 1;
    m[LIMBS - 1] |= UINT64_C(1) << 63;
    base[LIMBS - 1] >>= 1;
    uint64_t inverse = 1;
    for (int i = 0; i < 6; i++)
        inverse *= 2 - m[0] * inverse;
    inverse = 0 - inverse;
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        memcpy(x, base, sizeof x);
        for (int bit = 0; bit < 9000; bit++) {
            multiply(t, x, x, LIMBS);
            reduce(x, t, m, inverse, LIMBS);
            if (rng_next(&rng) >> 63) {
                multiply(t, x, base, LIMBS);
                reduce(x, t, m, inverse, LIMBS);
            }
        }
        memcpy(t, x, sizeof x);
        for (int i = 0; i < 50; i++)
            sum = mix(sum, divide(t, UINT64_C(10000000000000000000), LIMBS));
        base[u % LIMBS] ^= sum >> 2;
        base[LIMBS - 1] >>= 1;
    }
    return bench_done("bigint", sum);
}
