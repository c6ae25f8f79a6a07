// hazard: one thread patches code that another one is running hot; the change must arrive.
#include "hazard.h"
static unsigned char *p;
static volatile int seen = -1, stop;
static void *runner(void *a) {
  int (*volatile f)(void) = (void *)p;
  while (!stop)
    seen = f();
  return NULL;
}
static void *looper(void *a) {
  /* a loop inside the patched code itself: leaves when the jump is patched away */
  int (*f)(void) = (void *)(p + 64);
  return (void *)(long)f();
}
int main(void) {
  p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(p + 3, "\xb8\0\0\0\0\xc3", 6);
  p[0] = p[1] = p[2] = 0x90;
  pthread_t t;
  pthread_create(&t, NULL, runner, NULL);
  for (int i = 1; i < 300; i++) {
    __atomic_store_n((int *)(p + 4), i, __ATOMIC_SEQ_CST);
    double start = now();
    while (seen != i && now() - start < PATIENCE)
      sched_yield();
    if (seen != i) {
      EQUAL(seen, i);
      break;
    }
  }
  stop = 1;
  pthread_join(t, NULL);
  for (int i = 0; i < 20; i++) {
    /* mov $i, %eax; nop...; L: jmp L at an even address; ret */
    memcpy(p + 64, "\xb8\0\0\0\0\x90\xeb\xfe\xc3", 9);
    *(int *)(p + 65) = i;
    pthread_create(&t, NULL, looper, NULL);
    sleep_ms(2);
    __atomic_store_n((uint16_t *)(p + 70), 0x9090, __ATOMIC_SEQ_CST); /* falls through to ret */
    void *r;
    pthread_join(t, &r);
    EQUAL((long)r, i);
  }
  return done();
}
