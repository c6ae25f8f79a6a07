// hazard: the main thread leaves first; the process goes on and ends with the last thread's status 0.
// machines: x86-64 aarch64
#include "hazard.h"
static void *late(void *a) {
  pthread_join(*(pthread_t *)a, NULL);
  sleep_ms(50);
  printf("last one\n");
  fflush(stdout);
  return NULL;
}
int main(void) {
  static pthread_t self, t;
  self = pthread_self();
  pthread_create(&t, NULL, late, &self);
  pthread_exit(NULL);
}
