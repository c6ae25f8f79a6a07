/* Sorting without callbacks: quicksort, heapsort, merge of runs, insertion. */
#include "bench.h"

enum { N = 12000 };
static uint32_t original[N], work[N], spare[N];

__attribute__((noinline)) static void quick(uint32_t *v, int low, int high)
{
    while (high - low > 16) {
        uint32_t pivot = v[(low + high) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j) {
                uint32_t t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        quick(v, low, j);
        low = i;
    }
    for (int i = low + 1; i <= high; i++) {
        uint32_t x = v[i];
        int j = i;
        for (; j > low && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

__attribute__((noinline)) static void sink(uint32_t *v, int at, int n)
{
    for (int child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && v[child + 1] > v[child];
        if (v[at] >= v[child])
            return;
        uint32_t t = v[at];
        v[at] = v[child];
        v[child] = t;
    }
}

__attribute__((noinline)) static void heap(uint32_t *v, int n)
{
    for (int i = n / 2; i-- > 0;)
        sink(v, i, n);
    for (int i = n - 1; i > 0; i--) {
        uint32_t t = v[0];
        v[0] = v[i];
        v[i] = t;
        sink(v, 0, i);
    }
}

__attribute__((noinline)) static void merge(uint32_t *v, uint32_t *other, int n)
{
    for (int width = 1; width < n; width *= 2) {
        for (int low = 0; low < n; low += 2 * width) {
            int middle = low + width < n ? low + width : n, high = low + 2 * width < n ? low + 2 * width : n;
            int i = low, j = middle;
            for (int k = low; k < high; k++)
                other[k] = i < middle && (j >= high || v[i] <= v[j]) ? v[i++] : v[j++];
        }
        memcpy(v, other, (size_t)n * sizeof *v);
    }
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {79};
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        for (int i = 0; i < N; i++)
            original[i] = (uint32_t)rng_next(&rng);
        for (int way = 0; way < 3; way++) {
            memcpy(work, original, sizeof work);
            if (way == 0)
                quick(work, 0, N - 1);
            else if (way == 1)
                heap(work, N);
            else
                merge(work, spare, N);
            sum = mix(sum, work[(u * 31 + (unsigned long)way) % N]);
        }
    }
    return bench_done("sorts", sum);
}
