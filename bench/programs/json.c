/* A JSON parser building a tree, and a printer of it. */
#include "bench.h"

enum kind { J_NULL, J_BOOL, J_NUMBER, J_STRING, J_ARRAY, J_OBJECT };

struct value {
    enum kind kind;
    double number;
    const char *text;
    uint32_t length;
    struct value *first, *next;
    const char *name;
    uint32_t name_length;
};

static struct value arena[1 << 16];
static uint32_t arena_used;
static const char *at;

static struct value *make(enum kind kind)
{
    struct value *v = &arena[arena_used++];
    memset(v, 0, sizeof *v);
    v->kind = kind;
    return v;
}

static void blanks(void)
{
    while (*at == ' ' || *at == '\n' || *at == '\t')
        at++;
}

static const char *quoted(uint32_t *length)
{
    const char *start = ++at;
    while (*at != '"') {
        if (*at == '\\')
            at++;
        at++;
    }
    *length = (uint32_t)(at - start);
    at++;
    return start;
}

static struct value *parse(void)
{
    blanks();
    if (*at == '{' || *at == '[') {
        int object = *at == '{';
        char close = object ? '}' : ']';
        struct value *v = make(object ? J_OBJECT : J_ARRAY), **tail = &v->first;
        at++;
        blanks();
        while (*at != close) {
            const char *name = NULL;
            uint32_t name_length = 0;
            if (object) {
                blanks();
                name = quoted(&name_length);
                blanks();
                at++; /* the colon */
            }
            struct value *item = parse();
            item->name = name;
            item->name_length = name_length;
            *tail = item;
            tail = &item->next;
            blanks();
            if (*at == ',')
                at++;
            blanks();
        }
        at++;
        return v;
    }
    if (*at == '"') {
        struct value *v = make(J_STRING);
        v->text = quoted(&v->length);
        return v;
    }
    if (*at == 't' || *at == 'f') {
        struct value *v = make(J_BOOL);
        v->number = *at == 't';
        at += *at == 't' ? 4 : 5;
        return v;
    }
    if (*at == 'n') {
        at += 4;
        return make(J_NULL);
    }
    struct value *v = make(J_NUMBER);
    double sign = 1, scale = 1, n = 0;
    if (*at == '-') {
        sign = -1;
        at++;
    }
    for (; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (*at - '0');
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++) {
            n = n * 10 + (*at - '0');
            scale *= 10;
        }
    v->number = sign * n / scale;
    return v;
}

static uint64_t weigh(const struct value *v, uint64_t sum)
{
    for (uint32_t i = 0; i < v->name_length; i++)
        sum = sum * 33 + (unsigned char)v->name[i];
    switch (v->kind) {
    case J_STRING:
        for (uint32_t i = 0; i < v->length; i++)
            sum = sum * 33 + (unsigned char)v->text[i];
        break;
    case J_ARRAY:
    case J_OBJECT:
        for (const struct value *item = v->first; item; item = item->next)
            sum = weigh(item, sum + v->kind);
        break;
    default: sum = mix_f64(sum, v->number); break;
    }
    return sum;
}

static char *generate(char *out, struct rng *rng, int depth)
{
    switch (depth ? rng_below(rng, 7) : rng_below(rng, 4)) {
    case 0: return out + sprintf(out, "%d", (int)rng_below(rng, 100000) - 50000);
    case 1: return out + sprintf(out, "%u.%02u", (unsigned)rng_below(rng, 1000), (unsigned)rng_below(rng, 100));
    case 2: return out + sprintf(out, "\"item %u\\n\"", (unsigned)rng_below(rng, 1000));
    case 3: return out + sprintf(out, "%s", rng_below(rng, 2) ? "true" : "null");
    case 4: {
        *out++ = '[';
        for (uint32_t n = rng_below(rng, 7), i = 0; i <= n; i++) {
            if (i)
                *out++ = ',';
            out = generate(out, rng, depth - 1);
        }
        *out++ = ']';
        return out;
    }
    default: {
        *out++ = '{';
        for (uint32_t n = rng_below(rng, 6), i = 0; i <= n; i++) {
            out += sprintf(out, "%s\"field%u\": ", i ? ",\n  " : "", (unsigned)rng_below(rng, 50));
            out = generate(out, rng, depth - 1);
        }
        *out++ = '}';
        return out;
    }
    }
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {43};
    char *end = text;
    *end++ = '[';
    while (end - text < 120000) {
        end = generate(end, &rng, 6);
        *end++ = ',';
    }
    end[-1] = ']';
    *end = '\0';
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 6; bench_tick(++u, 6)) {
        arena_used = 0;
        at = text;
        sum = mix(sum, weigh(parse(), sum & 255) + arena_used);
    }
    return bench_done("json", sum);
}
