// hazard: fork while other threads discover new code all the time (translating, linking), child discovers more.
#include "hazard.h"
static volatile int stop;
static unsigned char *area;
enum { N = 4096, SIZE = 64 };
static void *discover(void *a) {
  uint64_t s = (long)a * 77 + 5;
  long sum = 0;
  while (!stop) {
    int i = rnd(&s) % N;
    sum += ((int (*)(void))(area + i * SIZE))();
  }
  return (void *)sum;
}
int main(void) {
  area = mmap(NULL, N * SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < N; i++) {
    unsigned char *q = area + i * SIZE;
    memcpy(q, "\x85\xff\x74\x01\x90\xb8\0\0\0\0\xc3", 11); /* test edi,edi; jz +1; nop; mov $i,%eax; ret */
    memcpy(q + 6, &i, 4);
  }
  mprotect(area, N * SIZE, PROT_READ | PROT_EXEC);
  pthread_t t[3];
  for (long i = 0; i < 3; i++)
    pthread_create(&t[i], NULL, discover, (void *)i);
  for (int k = 0; k < 60; k++) {
    pid_t p = fork();
    if (!p) {
      for (int i = k; i < N; i += 61)
        if (((int (*)(void))(area + i * SIZE))() != i)
          _exit(1);
      _exit(0);
    }
    const char *e = ending(p);
    if (strcmp(e, "exit 0")) {
      CHECK(0);
      puts(e);
    }
  }
  stop = 1;
  for (int i = 0; i < 3; i++)
    pthread_join(t[i], NULL);
  return done();
}
