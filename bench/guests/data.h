/* Text that compresses about as prose and logs do: words of uneven frequency,
 * repeated phrases, numbers. */
#ifndef DATA_H
#define DATA_H

#include "../programs/bench.h"

static void generate_text(char *out, size_t size, uint64_t seed)
{
    static const char *const words[] = {"the ", "of ", "and ", "a ", "trace ", "fragment ", "is ", "linked ", "to ", "its ", "exit ", "when ", "program ",
                                        "counter ", "returns ", "loop\n", "hot ", "address ", "register ", "2026-11-21 ", "GET /index ", "value=", "\t", ", "};
    enum { WORDS = sizeof words / sizeof words[0] };
    struct rng rng = {seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    size_t n = 0;
    while (n < size) {
        uint32_t kind = rng_below(&rng, 16);
        char number[24];
        const char *piece = number;
        size_t length;
        if (kind == 0 && n > 300) { /* a phrase seen before */
            piece = out + rng_below(&rng, (uint32_t)n - 200);
            length = 10 + rng_below(&rng, 150);
            length = piece + length > out + n ? (size_t)(out + n - piece) : length;
        } else if (kind < 3) {
            length = (size_t)snprintf(number, sizeof number, "%u ", (unsigned)rng_below(&rng, 100000));
        } else {
            uint32_t pick = rng_below(&rng, WORDS);
            pick = rng_below(&rng, pick + 1);
            piece = words[pick];
            length = strlen(piece);
        }
        if (length > size - n)
            length = size - n;
        memmove(out + n, piece, length);
        n += length;
    }
}

#endif
