/* A B-tree of order 16 held in an array of nodes: insert, search, range scan. */
#include "bench.h"

enum { ORDER = 16, NODES = 1 << 15, NONE = 0 };

struct node {
    uint16_t count, leaf;
    uint32_t key[ORDER - 1], value[ORDER - 1];
    uint32_t child[ORDER];
};

static struct node nodes[NODES];
static uint32_t used, root;

static uint32_t fresh(int leaf)
{
    uint32_t n = ++used;
    nodes[n].count = 0;
    nodes[n].leaf = (uint16_t)leaf;
    return n;
}

static int lower_bound(const struct node *n, uint32_t key)
{
    int low = 0, high = n->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (n->key[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Splits the full child `index` of `parent` in two. */
static void split(uint32_t parent, int index)
{
    struct node *p = &nodes[parent], *left = &nodes[p->child[index]];
    uint32_t at = fresh(left->leaf);
    struct node *right = &nodes[at];
    const int half = (ORDER - 1) / 2;
    right->count = (uint16_t)(ORDER - 1 - half - 1);
    memcpy(right->key, left->key + half + 1, right->count * sizeof(uint32_t));
    memcpy(right->value, left->value + half + 1, right->count * sizeof(uint32_t));
    memcpy(right->child, left->child + half + 1, (right->count + 1u) * sizeof(uint32_t));
    left->count = half;
    for (int i = p->count; i > index; i--) {
        p->key[i] = p->key[i - 1];
        p->value[i] = p->value[i - 1];
        p->child[i + 1] = p->child[i];
    }
    p->key[index] = left->key[half];
    p->value[index] = left->value[half];
    p->child[index + 1] = at;
    p->count++;
}

static void insert(uint32_t key, uint32_t value)
{
    if (nodes[root].count == ORDER - 1) {
        uint32_t top = fresh(0);
        nodes[top].child[0] = root;
        root = top;
        split(top, 0);
    }
    for (uint32_t at = root;;) {
        struct node *n = &nodes[at];
        int i = lower_bound(n, key);
        if (i < n->count && n->key[i] == key) {
            n->value[i] += value;
            return;
        }
        if (n->leaf) {
            for (int j = n->count; j > i; j--) {
                n->key[j] = n->key[j - 1];
                n->value[j] = n->value[j - 1];
            }
            n->key[i] = key;
            n->value[i] = value;
            n->count++;
            return;
        }
        if (nodes[n->child[i]].count == ORDER - 1) {
            split(at, i);
            if (n->key[i] == key) {
                n->value[i] += value;
                return;
            }
            i += n->key[i] < key;
        }
        at = n->child[i];
    }
}

static uint32_t search(uint32_t key)
{
    for (uint32_t at = root;;) {
        const struct node *n = &nodes[at];
        int i = lower_bound(n, key);
        if (i < n->count && n->key[i] == key)
            return n->value[i];
        if (n->leaf)
            return 0;
        at = n->child[i];
    }
}

static uint64_t scan(uint32_t at, uint64_t sum)
{
    const struct node *n = &nodes[at];
    for (int i = 0; i < n->count; i++) {
        if (!n->leaf)
            sum = scan(n->child[i], sum);
        sum = sum * 31 + n->key[i] + n->value[i];
    }
    return n->leaf ? sum : scan(n->child[n->count], sum);
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {41};
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        used = NONE;
        root = fresh(1);
        for (int i = 0; i < 25000; i++)
            insert((uint32_t)(rng_next(&rng) >> 44), (uint32_t)i);
        for (int i = 0; i < 25000; i++)
            sum += search((uint32_t)(rng_next(&rng) >> 44));
        sum = mix(sum, scan(root, 1));
    }
    return bench_done("btree", sum);
}
