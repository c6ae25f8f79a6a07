/* Straight, branchy code over small state: a cellular automaton on bytes (the game
 * of life) and a shuffle of a deck by its rules, modulo and table lookups. */
#include "bench.h"

enum { W = 96, H = 64 };
static unsigned char grid[2][H][W];

__attribute__((noinline)) static unsigned step(unsigned char (*from)[W], unsigned char (*to)[W])
{
    unsigned alive = 0;
    for (int y = 0; y < H; y++) {
        int up = (y + H - 1) % H, down = (y + 1) % H;
        for (int x = 0; x < W; x++) {
            int left = x ? x - 1 : W - 1, right = x + 1 < W ? x + 1 : 0;
            int n = from[up][left] + from[up][x] + from[up][right] + from[y][left] + from[y][right] + from[down][left] +
                    from[down][x] + from[down][right];
            if (from[y][x])
                to[y][x] = n == 2 || n == 3;
            else
                to[y][x] = n == 3;
            alive += to[y][x];
        }
    }
    return alive;
}

__attribute__((noinline)) static uint64_t deck(uint64_t seed)
{
    unsigned char cards[52];
    struct rng rng = {seed | 1};
    for (int i = 0; i < 52; i++)
        cards[i] = (unsigned char)i;
    for (int i = 51; i > 0; i--) {
        uint32_t j = rng_below(&rng, (uint32_t)i + 1);
        unsigned char t = cards[i];
        cards[i] = cards[j];
        cards[j] = t;
    }
    uint64_t score = 0;
    for (int i = 0; i + 5 <= 52; i++) {
        int suits[4] = {0}, ranks[13] = {0}, pairs = 0, flush = 0;
        for (int k = 0; k < 5; k++) {
            flush |= ++suits[cards[i + k] % 4] == 5;
            pairs += ++ranks[cards[i + k] / 4] == 2;
        }
        score = score * 3 + (uint64_t)(flush ? 5 : pairs);
    }
    return score;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {83};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            grid[0][y][x] = rng_below(&rng, 3) == 0;
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 60; bench_tick(++u, 60)) {
        sum = mix(sum, step(grid[u & 1], grid[(u & 1) ^ 1]));
        for (int i = 0; i < 40; i++)
            sum = mix(sum, deck(sum + (uint64_t)i));
        grid[(u & 1) ^ 1][u % H][(u * 7) % W] ^= 1;
    }
    return bench_done("automaton", sum);
}
