/* Image filters on bytes: a 3x3 blur, Sobel edges, thresholding. */
#include "bench.h"

enum { W = 320, H = 200 };
static unsigned char image[H][W], smooth[H][W], edges[H][W];

__attribute__((noinline)) static void blur(void)
{
    for (int y = 1; y < H - 1; y++)
        for (int x = 1; x < W - 1; x++)
            smooth[y][x] = (unsigned char)((image[y - 1][x - 1] + 2 * image[y - 1][x] + image[y - 1][x + 1] +
                                            2 * image[y][x - 1] + 4 * image[y][x] + 2 * image[y][x + 1] +
                                            image[y + 1][x - 1] + 2 * image[y + 1][x] + image[y + 1][x + 1]) >>
                                           4);
}

__attribute__((noinline)) static uint64_t sobel(int threshold)
{
    uint64_t lit = 0;
    for (int y = 1; y < H - 1; y++)
        for (int x = 1; x < W - 1; x++) {
            int gx = smooth[y - 1][x + 1] + 2 * smooth[y][x + 1] + smooth[y + 1][x + 1] - smooth[y - 1][x - 1] -
                     2 * smooth[y][x - 1] - smooth[y + 1][x - 1];
            int gy = smooth[y + 1][x - 1] + 2 * smooth[y + 1][x] + smooth[y + 1][x + 1] - smooth[y - 1][x - 1] -
                     2 * smooth[y - 1][x] - smooth[y - 1][x + 1];
            int g = (gx < 0 ? -gx : gx) + (gy < 0 ? -gy : gy);
            edges[y][x] = g > threshold ? 255 : (unsigned char)g;
            lit += g > threshold;
        }
    return lit;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    struct rng rng = {77};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            image[y][x] = (unsigned char)((x * y / 16 + (int)rng_below(&rng, 40)) & 255);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 30; bench_tick(++u, 30)) {
        blur();
        sum = mix(sum, sobel(60 + (int)(u % 100)));
        for (int x = 0; x < W; x++)
            image[u % H][x] = edges[(u * 7) % H][x];
    }
    return bench_done("blur", sum);
}
