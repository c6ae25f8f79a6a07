/* What every benchmark program shares: its amount of work, a generator of
 * numbers, and the one line it prints.
 *
 * A program does `units` times the same work, chained so that no unit can be
 * dropped or hoisted, and prints a checksum of all of it. The checksum depends on
 * nothing but `units`: it is the same at every -O level and under every runner.
 * Time grows in proportion to `units`, so that two runs give the steady cost as
 * the slope between them, free of start-up. */
#ifndef BENCH_H
#define BENCH_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Warm-up: with BENCH_ITERATIONS=FILE in the environment, the nanoseconds of processor time that each unit
 * of work took, a line each. Without it a unit costs one load and one branch more. */
static uint64_t *bench_stamps;
static unsigned long bench_stamped;

__attribute__((noinline, cold)) static void bench_stamp(unsigned long done, unsigned long each)
{
    struct timespec now;
    if (done % each != 0)
        return;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    bench_stamps[bench_stamped++] = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Called after each round of the outermost loop, of which a unit has `each`. */
static inline void bench_tick(unsigned long done, unsigned long each)
{
    if (__builtin_expect(bench_stamps != NULL, 0))
        bench_stamp(done, each);
}

static inline void bench_write_stamps(void)
{
    if (bench_stamps == NULL)
        return;
    FILE *file = fopen(getenv("BENCH_ITERATIONS"), "w");
    if (file == NULL)
        return;
    for (unsigned long i = 1; i < bench_stamped; i++)
        fprintf(file, "%" PRIu64 "\n", bench_stamps[i] - bench_stamps[i - 1]);
    fclose(file);
}

/* The number of units of work: the first argument, or `fallback` without one. */
static inline unsigned long bench_units(int argc, char **argv, unsigned long fallback)
{
    if (argc < 2)
        return fallback;
    char *end;
    unsigned long units = strtoul(argv[1], &end, 10);
    if (*argv[1] == '\0' || *end != '\0') {
        fprintf(stderr, "usage: %s [UNITS OF WORK]\n", argv[0]);
        exit(2);
    }
    if (getenv("BENCH_ITERATIONS") != NULL) {
        bench_stamps = (uint64_t *)calloc(units + 1, sizeof *bench_stamps);
        if (bench_stamps != NULL)
            bench_stamp(0, 1);
    }
    return units;
}

/* xorshift64*: small, and good enough to make data that does not repeat. */
struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* Uniform enough for benchmarks in 0..limit. */
static inline uint32_t rng_below(struct rng *r, uint32_t limit)
{
    return (uint32_t)(((rng_next(r) >> 32) * limit) >> 32);
}

static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    sum ^= value;
    sum *= UINT64_C(0x9E3779B97F4A7C15);
    return sum ^ (sum >> 29);
}

/* The bits of a double: floating-point results are compared exactly. */
static inline uint64_t mix_f64(uint64_t sum, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return mix(sum, bits);
}

static inline int bench_done(const char *name, uint64_t sum)
{
    printf("%s %016" PRIx64 "\n", name, sum);
    bench_write_stamps();
    return 0;
}

#endif
