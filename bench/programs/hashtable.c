/* A chained hash table with string keys: insert, look up, delete, grow. */
#include "bench.h"

struct node {
    struct node *next;
    uint64_t hash, value;
    char key[16];
};

static struct node **buckets;
static size_t bucket_count, node_count;

static uint64_t hash_of(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    while (*s)
        h = (h ^ (unsigned char)*s++) * UINT64_C(1099511628211);
    return h;
}

static void grow(void)
{
    size_t wanted = bucket_count ? bucket_count * 2 : 64;
    struct node **fresh = calloc(wanted, sizeof *fresh);
    for (size_t i = 0; i < bucket_count; i++)
        for (struct node *n = buckets[i], *next; n; n = next) {
            next = n->next;
            n->next = fresh[n->hash & (wanted - 1)];
            fresh[n->hash & (wanted - 1)] = n;
        }
    free(buckets);
    buckets = fresh;
    bucket_count = wanted;
}

static struct node **find(const char *key, uint64_t hash)
{
    struct node **at = &buckets[hash & (bucket_count - 1)];
    while (*at && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

static uint64_t *upsert(const char *key)
{
    if (node_count >= bucket_count)
        grow();
    uint64_t hash = hash_of(key);
    struct node **at = find(key, hash);
    if (!*at) {
        struct node *n = calloc(1, sizeof *n);
        n->hash = hash;
        memcpy(n->key, key, strlen(key) + 1);
        *at = n;
        node_count++;
    }
    return &(*at)->value;
}

static int erase(const char *key)
{
    struct node **at = find(key, hash_of(key)), *n = *at;
    if (!n)
        return 0;
    *at = n->next;
    free(n);
    node_count--;
    return 1;
}

static void name_of(char *out, uint32_t n)
{
    do {
        *out++ = (char)('a' + n % 26);
        n /= 26;
    } while (n);
    *out = '\0';
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {37};
    uint64_t sum = 1;
    char key[16];
    grow();
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        for (int i = 0; i < 60000; i++) {
            name_of(key, rng_below(&rng, 30000) * 977);
            *upsert(key) += (uint64_t)i;
        }
        for (uint32_t i = 0; i < 30000; i += 2) {
            name_of(key, i * 977);
            sum = mix(sum, (uint64_t)erase(key) + node_count);
        }
    }
    return bench_done("hashtable", sum);
}
