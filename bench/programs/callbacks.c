/* Function pointers: a state machine whose states are functions, and an event
 * table with handlers registered at run time. */
#include "bench.h"

struct machine;
typedef void *(*state_fn)(struct machine *, unsigned char);

struct machine {
    uint64_t words, numbers, others, value;
};

static void *blank(struct machine *, unsigned char);
static void *word(struct machine *, unsigned char);
static void *number(struct machine *, unsigned char);

static void *pick(struct machine *m, unsigned char c)
{
    if (c >= 'a' && c <= 'z') {
        m->words++;
        return (void *)word;
    }
    if (c >= '0' && c <= '9') {
        m->numbers++;
        m->value = m->value * 31 + c;
        return (void *)number;
    }
    m->others++;
    return (void *)blank;
}

static void *blank(struct machine *m, unsigned char c) { return pick(m, c); }

static void *word(struct machine *m, unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
        m->value += c;
        return (void *)word;
    }
    return pick(m, c);
}

static void *number(struct machine *m, unsigned char c)
{
    if (c >= '0' && c <= '9') {
        m->value = m->value * 10 + c - '0';
        return (void *)number;
    }
    return pick(m, c);
}

typedef uint64_t (*handler_fn)(uint64_t *context, uint64_t event);

static uint64_t on_add(uint64_t *c, uint64_t e) { return *c += e; }
static uint64_t on_flip(uint64_t *c, uint64_t e) { return *c ^= e << 7; }
static uint64_t on_turn(uint64_t *c, uint64_t e) { return *c = (*c << (e & 31)) | (*c >> 33); }
static uint64_t on_drop(uint64_t *c, uint64_t e) { return *c -= e | 1; }

int main(int argc, char **argv)
{
    enum { LENGTH = 32768, HANDLERS = 64 };
    static unsigned char text[LENGTH];
    static handler_fn table[HANDLERS];
    static const handler_fn all[4] = {on_add, on_flip, on_turn, on_drop};
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {11};
    for (int i = 0; i < LENGTH; i++)
        text[i] = (unsigned char)"abcdefghijklmnop0123456789  ,.\n;"[rng_below(&rng, 32)];
    for (int i = 0; i < HANDLERS; i++)
        table[i] = all[rng_below(&rng, 4)];
    uint64_t sum = 1, context = 5;
    for (unsigned long u = 0; u < units * 4; bench_tick(++u, 4)) {
        struct machine m = {0, 0, 0, sum};
        state_fn state = blank;
        for (int i = 0; i < LENGTH; i++)
            state = (state_fn)state(&m, text[i]);
        for (int i = 0; i < LENGTH; i++)
            m.value += table[(m.value >> 20) % HANDLERS](&context, text[i]);
        sum = mix(sum, m.words + m.numbers * 3 + m.others * 5 + m.value);
    }
    return bench_done("callbacks", sum);
}
