/* malloc and free of mixed sizes in random order, realloc, and a binary tree that
 * is built and torn down. */
#include "bench.h"

struct tree {
    struct tree *left, *right;
    uint64_t value;
};

static struct tree *build(int depth, uint64_t value)
{
    struct tree *t = malloc(sizeof *t);
    t->value = value;
    t->left = depth ? build(depth - 1, value * 3 + 1) : NULL;
    t->right = depth ? build(depth - 1, value * 5 + 2) : NULL;
    return t;
}

static uint64_t tear(struct tree *t)
{
    if (!t)
        return 0;
    uint64_t sum = t->value + 3 * tear(t->left) + 7 * tear(t->right);
    free(t);
    return sum;
}

int main(int argc, char **argv)
{
    enum { LIVE = 2000 };
    static unsigned char *live[LIVE];
    static size_t size[LIVE];
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {73};
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        for (int i = 0; i < 60000; i++) {
            uint32_t at = rng_below(&rng, LIVE);
            size_t wanted = 8 + rng_below(&rng, rng_below(&rng, 20) ? 200 : 5000);
            if (live[at] && rng_below(&rng, 6) == 0) {
                live[at] = realloc(live[at], wanted);
                live[at][wanted - 1] = 1;
            } else {
                if (live[at])
                    sum += live[at][0] + live[at][size[at] - 1];
                free(live[at]);
                live[at] = malloc(wanted);
                live[at][wanted - 1] = (unsigned char)i;
            }
            live[at][0] = (unsigned char)(i >> 3);
            size[at] = wanted;
        }
        sum = mix(sum, tear(build(12, u)));
    }
    return bench_done("malloc_churn", sum);
}
