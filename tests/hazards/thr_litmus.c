// hazard: memory order litmus tests: message passing must hold, polling loops must see stores,
// hazard: store buffering with locked instructions or fences must not show both zeros.
#include "hazard.h"
static volatile long x, y, r1, r2, go, finished, last;
static int kind;
// Polls, and gives the processor away now and then: both threads may have to share one.
#define UNTIL(condition)                                                                           \
  for (long spins = 1; !(condition); spins++)                                                      \
  if (spins % 1024 == 0)                                                                           \
  sched_yield()
static void *one(void *a) {
  for (long i = 1;; i++) {
    UNTIL(go == i);
    if (last)
      break;
    if (kind == 0) {
      x = i;
      y = i;
    } else if (kind == 1) {
      __atomic_exchange_n(&x, i, __ATOMIC_SEQ_CST);
      r1 = y;
    } else {
      x = i;
      asm volatile("mfence" : : : "memory");
      r1 = y;
    }
    __sync_fetch_and_add(&finished, 1);
  }
  return NULL;
}
int main(void) {
  for (kind = 0; kind < 3; kind++) {
    pthread_t t;
    long bad = 0, i;
    double stop = now() + 2; // or 20,000 rounds, which take 0.1 s where both threads have a core
    x = y = go = finished = last = 0;
    pthread_create(&t, NULL, one, NULL);
    for (i = 1; i <= 20000 && (i % 64 || now() < stop); i++) {
      go = i;
      if (kind == 0) {
        UNTIL(y == i);
        bad += x != i;
      } else {
        if (kind == 1)
          __atomic_exchange_n(&y, i, __ATOMIC_SEQ_CST);
        else {
          y = i;
          asm volatile("mfence" : : : "memory");
        }
        r2 = x;
      }
      UNTIL(finished == i);
      if (kind)
        bad += r1 != i && r2 != i;
    }
    last = 1;
    go = i;
    pthread_join(t, NULL);
    EQUAL(bad, 0);
  }
  return done();
}
