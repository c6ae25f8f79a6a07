// Virtual calls on small objects: first through one class (a site with one target),
// then through eight in random order (a site with eight).
#include "bench.h"

namespace {

struct Shape {
    virtual ~Shape() = default;
    virtual uint64_t weigh(uint64_t x) const = 0;
};

template <int Kind>
struct Kinded final : Shape {
    explicit Kinded(uint64_t v) : value(v) {}
    uint64_t weigh(uint64_t x) const override { return x * (2 * Kind + 1) + (value ^ (x >> (Kind + 1))); }
    uint64_t value;
};

Shape *make(int kind, uint64_t value)
{
    switch (kind) {
    case 0: return new Kinded<0>(value);
    case 1: return new Kinded<1>(value);
    case 2: return new Kinded<2>(value);
    case 3: return new Kinded<3>(value);
    case 4: return new Kinded<4>(value);
    case 5: return new Kinded<5>(value);
    case 6: return new Kinded<6>(value);
    default: return new Kinded<7>(value);
    }
}

constexpr int count = 256;

__attribute__((noinline)) uint64_t sweep(Shape *const *shapes, uint64_t x)
{
    for (int i = 0; i < count; i++)
        x = shapes[i]->weigh(x);
    return x;
}

} // namespace

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {0x1234567};
    Shape *one[count], *eight[count];
    for (int i = 0; i < count; i++) {
        one[i] = make(3, rng_next(&rng));
        eight[i] = make((int)rng_below(&rng, 8), rng_next(&rng));
    }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 2000; bench_tick(++u, 2000)) {
        sum = sweep(one, sum);
        if (u % 3 == 0)
            sum = sweep(eight, sum);
    }
    for (int i = 0; i < count; i++) {
        delete one[i];
        delete eight[i];
    }
    return bench_done("virt", sum);
}
