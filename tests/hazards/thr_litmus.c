// hazard: memory order litmus tests: message passing must hold, polling loops must see stores,
// hazard: store buffering with locked instructions or fences must not show both zeros.
#include "hazard.h"
static volatile long x, y, r1, r2, go, finished;
static int kind;
static void *one(void *a) {
  for (long i = 1; i <= 20000; i++) {
    while (go != i) {
    }
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
    long bad = 0;
    x = y = go = finished = 0;
    pthread_create(&t, NULL, one, NULL);
    for (long i = 1; i <= 20000; i++) {
      go = i;
      if (kind == 0) {
        while (y != i) {
        }
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
      while (finished != i) {
      }
      if (kind)
        bad += r1 != i && r2 != i;
    }
    pthread_join(t, NULL);
    EQUAL(bad, 0);
  }
  return done();
}
