// hazard: detached threads unmap their own stacks as they end.
// machines: x86-64 aarch64
#include "hazard.h"
static volatile int n;
static void *thread(void *a) {
  volatile char pad[10000];
  memset((void *)pad, 1, sizeof pad);
  __sync_fetch_and_add(&n, 1);
  return NULL;
}
int main(void) {
  pthread_attr_t at;
  pthread_attr_init(&at);
  pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
  for (int i = 0; i < 1500; i++) {
    pthread_t t;
    /* different sizes defeat glibc's cache of stacks */
    pthread_attr_setstacksize(&at, 65536 + (i % 300) * 4096 * 16);
    while (pthread_create(&t, &at, thread, NULL))
      sched_yield();
  }
  double start = now();
  while (n < 1500 && now() - start < PATIENCE)
    sleep_ms(1);
  EQUAL(n, 1500);
  return done();
}
