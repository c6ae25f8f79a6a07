// hazard: fork from a process with many running threads; the child has one thread and works.
// machines: x86-64 aarch64
#include "hazard.h"
static volatile int stop;
static void *spinner(void *a) {
  uint64_t s = (long)a + 1;
  while (!stop)
    rnd(&s);
  return NULL;
}
static void *forker(void *a) {
  for (int i = 0; i < 15; i++) {
    pid_t p = fork();
    if (!p) {
      pthread_t t;
      void *r;
      uint64_t s = 3;
      for (int k = 0; k < 10000; k++)
        rnd(&s);
      _exit((int)(s & 7) + (int)(long)a);
    }
    int status;
    waitpid(p, &status, 0);
    uint64_t s = 3;
    for (int k = 0; k < 10000; k++)
      rnd(&s);
    EQUAL(status, ((int)(s & 7) + (int)(long)a) << 8);
  }
  return NULL;
}
int main(void) {
  pthread_t t[6], f[3];
  for (long i = 0; i < 6; i++)
    pthread_create(&t[i], NULL, spinner, (void *)i);
  for (long i = 0; i < 3; i++)
    pthread_create(&f[i], NULL, forker, (void *)(i * 10));
  for (int i = 0; i < 3; i++)
    pthread_join(f[i], NULL);
  stop = 1;
  for (int i = 0; i < 6; i++)
    pthread_join(t[i], NULL);
  return done();
}
