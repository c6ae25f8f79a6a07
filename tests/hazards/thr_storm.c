// hazard: 10,000 threads are created and joined, in small groups; nothing leaks and nothing is lost.
// machines: x86-64 aarch64
#include "hazard.h"
static volatile long sum;
static void *thread(void *a) {
  __sync_fetch_and_add(&sum, (long)a);
  return a;
}
static long resident(void) {
  long size, rss;
  FILE *f = fopen("/proc/self/statm", "r");
  fscanf(f, "%ld %ld", &size, &rss);
  fclose(f);
  return rss * 4;
}
int main(void) {
  pthread_attr_t at;
  pthread_attr_init(&at);
  pthread_attr_setstacksize(&at, 65536);
  long early = 0;
  for (long i = 0; i < 10000; i += 10) {
    pthread_t t[10];
    for (long k = 0; k < 10; k++)
      if (pthread_create(&t[k], &at, thread, (void *)(i + k))) {
        CHECK(0);
        return done();
      }
    for (int k = 0; k < 10; k++)
      pthread_join(t[k], NULL);
    if (i == 1000)
      early = resident();
  }
  EQUAL(sum, 9999l * 10000 / 2);
  CHECK(resident() < early + 20000);
  return done();
}
