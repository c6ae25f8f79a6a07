// hazard: a loop that was optimised while the program had one thread polls memory that a second thread writes.
// machines: x86-64 aarch64
#include "hazard.h"
static long table[8] = {1, 2, 3, 4, 5, 6, 7, 8};
/* Every load of *flag counts: the compiler must make it each time, and so must we. */
static __attribute__((noinline)) long poll(int *flag, long most) {
  long sum = 0;
  for (long i = 0; i < most; i++) {
    if (*flag)
      break;
    sum += table[i & 7];
    asm volatile("" : : : "memory");
  }
  return sum;
}
static int flag, seen;
static void *set(void *ms) {
  sleep_ms((long)ms);
  flag = 1;
  return NULL;
}
/* The other way round: the other thread waits for stores of a hot loop. */
static void *wait_for(void *word) {
  while (!__atomic_load_n((long *)word, __ATOMIC_RELAXED))
    sched_yield();
  seen = 1;
  return NULL;
}
static __attribute__((noinline)) long count(long *word, int *stop, long most) {
  long i = 0;
  while (!*stop && i < most) {
    i++;
    *word = i;
    asm volatile("" : : : "memory");
  }
  return i;
}
int main(void) {
  pthread_t t;
  long word = 0, dummy = 0;
  int zero = 0;
  EQUAL(poll(&flag, 400000), 400000 / 8 * 36);
  EQUAL(count(&dummy, &zero, 400000), 400000);
  for (int round = 0; round < 3; round++) {
    flag = 0;
    pthread_create(&t, NULL, set, (void *)(long)(round * 7));
    poll(&flag, LONG_MAX);
    CHECK(flag == 1);
    pthread_join(t, NULL);
  }
  pthread_create(&t, NULL, wait_for, &word);
  CHECK(count(&word, &seen, LONG_MAX) > 0);
  pthread_join(t, NULL);
  return done();
}
