#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

typedef int8_t i8;
typedef uint8_t u8;
typedef int16_t i16;
typedef uint16_t u16;
typedef int32_t i32;
typedef uint32_t u32;
typedef int64_t i64;
typedef uint64_t u64;
typedef float f32;
typedef double f64;

#define PAD 32
#define NOINLINE __attribute__((noinline, noclone))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ABS(a) ((i64)(a) < 0 ? -(i64)(a) : (i64)(a))
#define SAT8(a) ((i64)(a) < 0 ? 0 : (i64)(a) > 255 ? 255 : (i64)(a))
#define ROT32(a, n) ((u32)(a) << (n) | (u32)(a) >> (32 - (n)))
#define ROT64(a, n) ((u64)(a) << (n) | (u64)(a) >> (64 - (n)))

struct record {
    i32 a;
    f64 b;
    u8 c;
    i64 d;
    u16 e;
    f32 f;
};

static struct record recs[N];
static u64 hash = 1, state = 1, seed = 88172645463325252ull;

static inline i32 ctz(u64 x) { return __builtin_ctzll(x | 1ull << 63); }
static inline i32 clz(u64 x) { return __builtin_clzll(x | 1); }
static inline u64 mulhi(u64 a, u64 b) { return (u64)((unsigned __int128)a * b >> 64); }

static inline u64 bits64(f64 x) {
    u64 u;
    memcpy(&u, &x, 8);
    return u;
}

static inline u32 bits32(f32 x) {
    u32 u;
    memcpy(&u, &x, 4);
    return u;
}

static NOINLINE void mix(const void *p, size_t n) {
    const u8 *bytes = p;
    u64 h = hash;
    for (size_t i = 0; i < n; i++) h = (h ^ bytes[i]) * 0x100000001b3ull;
    hash = h ^ h >> 29;
}

static u64 next(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void fill_bytes(void *p, size_t n) {
    u8 *bytes = p;
    int small = next() & 1;
    for (size_t i = 0; i < n; i++) bytes[i] = small && i % 4 ? 0 : next() >> 24;
}

static f64 some_float(void) {
    u64 r = next(), u;
    f64 x;
    if ((int)(r % 32) >= SPECIALS) return ((i32)(next() >> 40) - (1 << 22)) / 65536.0;
    switch (r >> 8 & 7) {
    case 0: u = 0x7ff8000000000000ull | (next() & 0xffff); break;
    case 1: u = 0xfff8000000000000ull | (next() & 0xffff); break;
    case 2: u = 0x7ff0000000000000ull; break;
    case 3: u = 0xfff0000000000000ull; break;
    case 4: u = 0x8000000000000000ull; break;
    case 5: u = next() & 0xfffffffffffffull; break;
    case 6: u = 0x7fefffffffffffffull; break;
    default: u = 0x0010000000000000ull; break;
    }
    memcpy(&x, &u, 8);
    return x;
}

static void fill_f64(f64 *p, size_t n) {
    for (size_t i = 0; i < n / 8; i++) p[i] = some_float();
}

static void fill_f32(f32 *p, size_t n) {
    for (size_t i = 0; i < n / 4; i++) p[i] = some_float();
}

static void fill_records(void) {
    memset(recs, 0, sizeof recs);
    for (int i = 0; i < N; i++) {
        recs[i].a = next();
        recs[i].b = some_float();
        recs[i].c = next();
        recs[i].d = next();
        recs[i].e = next();
        recs[i].f = some_float();
    }
}

/* What may happen half-way. */

static volatile sig_atomic_t ticks;
static sigjmp_buf back;

static void on_alarm(int signal) { ticks++; }
static void on_fault(int signal) { siglongjmp(back, 1); }
static void *idle(void *p) { return p; }

static void nothing(void) {}

static void alarms(void) {
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct itimerval timer = { { 0, 1000 }, { 0, 1000 } };
    sigaction(SIGALRM, &action, 0);
    setitimer(ITIMER_REAL, &timer, 0);
}

static void fault(void) {
    struct sigaction action = { .sa_handler = on_fault };
    volatile u8 *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile int count = 0;
    sigaction(SIGSEGV, &action, 0);
    mprotect((void *)(page + 4096), 4096, PROT_NONE);
    if (!sigsetjmp(back, 1))
        for (int i = 0;; i++) {
            page[i] = i;
            count = i;
        }
    hash += count;
    mix((void *)page, 4096);
}

static void second_thread(void) {
    pthread_t thread;
    if (!pthread_create(&thread, 0, idle, 0)) pthread_join(thread, 0);
}

static void shared(void) {
    volatile u8 *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4096; i++) page[i] = page[(i + 4095) % 4096] + 3;
    mix((void *)page, 4096);
}
