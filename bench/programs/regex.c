/* A backtracking regular-expression matcher over a compiled pattern: classes,
 * star, plus, question mark, anchors, alternation of groups. */
#include "bench.h"

enum { R_CHAR, R_ANY, R_SET, R_SPLIT, R_JUMP, R_MATCH };

struct state {
    uint8_t op, c;
    int16_t x, y;
    uint8_t set[32];
};

static struct state prog[256];
static int used;

static void emit_atom(const char **p)
{
    struct state *s = &prog[used++];
    if (**p == '.') {
        s->op = R_ANY;
        (*p)++;
    } else if (**p == '[') {
        s->op = R_SET;
        memset(s->set, 0, sizeof s->set);
        (*p)++;
        while (**p != ']') {
            unsigned low = (unsigned char)**p, high = low;
            if ((*p)[1] == '-') {
                high = (unsigned char)(*p)[2];
                *p += 2;
            }
            (*p)++;
            for (unsigned c = low; c <= high; c++)
                s->set[c / 8] |= (uint8_t)(1u << (c % 8));
        }
        (*p)++;
    } else {
        s->op = R_CHAR;
        s->c = (uint8_t)**p;
        (*p)++;
    }
}

/* Compiles alternation, then concatenation, then repetition of atoms and groups. */
static void compile(const char **p)
{
    int start = used;
    while (**p && **p != ')' && **p != '|') {
        int atom = used;
        if (**p == '(') {
            (*p)++;
            compile(p);
            (*p)++;
        } else {
            emit_atom(p);
        }
        if (**p == '*' || **p == '+' || **p == '?') {
            char kind = *(*p)++;
            memmove(&prog[atom + 1], &prog[atom], (size_t)(used - atom) * sizeof prog[0]);
            used++;
            for (int i = atom + 1; i < used; i++)
                if (prog[i].op == R_SPLIT || prog[i].op == R_JUMP) {
                    prog[i].x += (int16_t)1;
                    prog[i].y += (int16_t)1;
                }
            if (kind == '?') {
                prog[atom] = (struct state){.op = R_SPLIT, .x = (int16_t)(atom + 1), .y = (int16_t)used};
            } else {
                prog[used] = (struct state){.op = R_JUMP, .x = (int16_t)atom, .y = (int16_t)atom};
                used++;
                prog[atom] = (struct state){.op = R_SPLIT, .x = (int16_t)(atom + 1), .y = (int16_t)used};
                if (kind == '+') { /* once for certain: enter behind the split */
                    prog[used] = (struct state){.op = R_SPLIT, .x = (int16_t)(atom + 1), .y = (int16_t)(used + 1)};
                    prog[used - 1].x = (int16_t)used;
                    prog[atom] = (struct state){.op = R_JUMP, .x = (int16_t)(atom + 1), .y = 0};
                    used++;
                }
            }
        }
    }
    if (**p == '|') {
        (*p)++;
        memmove(&prog[start + 1], &prog[start], (size_t)(used - start) * sizeof prog[0]);
        used++;
        for (int i = start + 1; i < used; i++)
            if (prog[i].op == R_SPLIT || prog[i].op == R_JUMP) {
                prog[i].x += (int16_t)1;
                prog[i].y += (int16_t)1;
            }
        int hole = used++;
        prog[start] = (struct state){.op = R_SPLIT, .x = (int16_t)(start + 1), .y = (int16_t)used};
        compile(p);
        prog[hole] = (struct state){.op = R_JUMP, .x = (int16_t)used, .y = 0};
    }
}

/* The end of a match of state `pc` at `s`, or NULL. */
static const char *match(int pc, const char *s)
{
    for (;;) {
        const struct state *st = &prog[pc];
        switch (st->op) {
        case R_CHAR:
            if ((uint8_t)*s != st->c)
                return NULL;
            s++;
            pc++;
            break;
        case R_ANY:
            if (*s == '\0' || *s == '\n')
                return NULL;
            s++;
            pc++;
            break;
        case R_SET:
            if (!(st->set[(uint8_t)*s / 8] >> ((uint8_t)*s % 8) & 1))
                return NULL;
            s++;
            pc++;
            break;
        case R_SPLIT: {
            const char *end = match(st->x, s);
            if (end)
                return end;
            pc = st->y;
            break;
        }
        case R_JUMP: pc = st->x; break;
        default: return s;
        }
    }
}

int main(int argc, char **argv)
{
    static const char *const patterns[] = {
        "[a-z]+@[a-z]+[.](com|org|net)", "[0-9]+[.][0-9]+", "(foo|bar|qux)[0-9]?x*", "[A-Z][a-z]* [A-Z][a-z]*", "a.*z",
    };
    static char text[20000];
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {47};
    char *out = text;
    while (out - text < 19000) {
        switch (rng_below(&rng, 6)) {
        case 0: out += sprintf(out, "user%c@host.%s ", (int)('a' + rng_below(&rng, 26)), rng_below(&rng, 2) ? "org" : "xyz"); break;
        case 1: out += sprintf(out, "%u.%u ", (unsigned)rng_below(&rng, 99), (unsigned)rng_below(&rng, 999)); break;
        case 2: out += sprintf(out, "Ada Love%s ", rng_below(&rng, 2) ? "lace" : ""); break;
        case 3: out += sprintf(out, "foo%uxx bar\n", (unsigned)rng_below(&rng, 9)); break;
        default: out += sprintf(out, "plain words az go by "); break;
        }
    }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1))
        for (size_t k = 0; k < sizeof patterns / sizeof patterns[0]; k++) {
            const char *p = patterns[k];
            used = 0;
            compile(&p);
            prog[used++].op = R_MATCH;
            uint64_t hits = 0, length = 0;
            for (const char *s = text; *s; s++) {
                const char *end = match(0, s);
                if (end) {
                    hits++;
                    length += (uint64_t)(end - s);
                }
            }
            sum = mix(sum, hits * 100000 + length);
        }
    return bench_done("regex", sum);
}
