/* A compiler that never stops: each function that it writes runs one loop, hot for a moment and then never again. */
#include "bench.h"
#include <sys/mman.h>

enum { PAGE = 4096, ITERATIONS = 20000, FUNCTIONS = 16 };

/* Writes: eax = edi; do { eax = rotl(eax * a + b, r) ^ c, some times; } while (--esi); return eax */
static void write_function(unsigned char *p, struct rng *r)
{
    *p++ = 0x89, *p++ = 0xf8; /* mov eax, edi */
    unsigned char *head = p;
    for (int n = 2 + (int)(rng_next(r) >> 62); n > 0; n--) {
        uint32_t a = (uint32_t)(rng_next(r) >> 32) | 1, b = (uint32_t)(rng_next(r) >> 32);
        *p++ = 0x69, *p++ = 0xc0; /* imul eax, eax, a */
        memcpy(p, &a, 4), p += 4;
        *p++ = 0x05; /* add eax, b */
        memcpy(p, &b, 4), p += 4;
        *p++ = 0xc1, *p++ = 0xc0, *p++ = 1 + (b >> 28); /* rol eax, … */
    }
    *p++ = 0xff, *p++ = 0xce; /* dec esi */
    *p++ = 0x75;              /* jnz head */
    *p = (unsigned char)(head - (p + 1)), p++;
    *p = 0xc3;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 100);
    struct rng r = {0x9e3779b97f4a7c15u};
    uint32_t x = 1;
    for (unsigned long u = 0; u < units; u++)
        for (int n = 0; n < FUNCTIONS; n++) {
            unsigned char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (code == MAP_FAILED)
                return 1;
            write_function(code, &r);
            mprotect(code, PAGE, PROT_READ | PROT_EXEC);
            x = ((uint32_t(*)(uint32_t, uint32_t))(uintptr_t)code)(x, ITERATIONS);
            munmap(code, PAGE);
        }
    return bench_done("jit_churn", mix(1, x));
}
