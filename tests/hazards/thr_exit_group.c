// hazard: exit() while other threads spin, sleep and call: the process ends at once with the status.
// ends: exit 42
// machines: x86-64 aarch64
#include "hazard.h"
static volatile int ready;
static void *t0(void *a) {
  __sync_fetch_and_add(&ready, 1);
  for (;;)
    asm volatile("");
}
static void *t1(void *a) {
  __sync_fetch_and_add(&ready, 1);
  for (;;)
    pause();
}
static void *t2(void *a) {
  __sync_fetch_and_add(&ready, 1);
  for (;;)
    getppid();
}
int main(void) {
  void *(*f[])(void *) = {t0, t1, t2};
  pthread_t t;
  for (int i = 0; i < 12; i++)
    pthread_create(&t, NULL, f[i % 3], NULL);
  while (ready < 12)
    sched_yield();
  for (int i = 0; i < 20; i++) {
    pid_t p = fork();
    if (!p) {
      for (int k = 0; k < 3; k++)
        pthread_create(&t, NULL, f[k], NULL);
      sleep_ms(1);
      exit(i);
    }
    char want[16];
    sprintf(want, "exit %d", i);
    CHECK(!strcmp(ending(p), want));
  }
  if (done())
    return 1;
  exit(42);
}
