// hazard: pthread_cancel, deferred in system calls and asynchronous in a loop; cleanup handlers run.
// machines: x86-64 aarch64
#include "hazard.h"
static volatile int cleaned, started;
static void cleanup(void *a) { cleaned += (int)(long)a; }
static void *sleeper(void *a) {
  pthread_cleanup_push(cleanup, (void *)1);
  started = 1;
  for (;;)
    pause();
  pthread_cleanup_pop(0);
}
static void *looper(void *a) {
  pthread_cleanup_push(cleanup, (void *)100);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  started = 1;
  for (;;)
    asm volatile("");
  pthread_cleanup_pop(0);
}
int main(void) {
  for (int i = 0; i < 40; i++) {
    pthread_t t;
    void *r;
    started = 0;
    pthread_create(&t, NULL, i & 1 ? looper : sleeper, NULL);
    while (!started)
      sched_yield();
    pthread_cancel(t);
    pthread_join(t, &r);
    CHECK(r == PTHREAD_CANCELED);
  }
  EQUAL(cleaned, 20 * 101);
  return done();
}
