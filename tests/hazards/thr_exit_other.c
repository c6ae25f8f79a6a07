// hazard: another thread than main ends the process while main spins; a fault in a thread kills all.
// ends: signal 11
// machines: x86-64 aarch64
#include "hazard.h"
static void *ender(void *a) {
  sleep_ms(20);
  if (a)
    exit(17);
  *(volatile int *)16 = 1;
  return NULL;
}
static void spin(void *a) {
  pthread_t t;
  pthread_create(&t, NULL, ender, a);
  for (;;)
    asm volatile("");
}
int main(void) {
  pid_t p = fork();
  if (!p)
    spin((void *)1);
  printf("%s\n", ending(p));
  fflush(stdout);
  spin(NULL);
}
