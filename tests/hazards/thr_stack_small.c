// hazard: threads run on the smallest possible stacks: the runtime must not use them.
// machines: x86-64 aarch64
#include "hazard.h"
static void *thread(void *a) {
  long n = 0;
  for (int i = 0; i < 100000; i++)
    n += i ^ (n >> 3);
  getppid();
  return (void *)n;
}
int main(void) {
  pthread_attr_t at;
  pthread_attr_init(&at);
  pthread_attr_setstacksize(&at, PTHREAD_STACK_MIN);
  void *want = thread(NULL);
  for (int i = 0; i < 30; i++) {
    pthread_t t;
    void *r;
    pthread_create(&t, &at, thread, NULL);
    pthread_join(t, &r);
    CHECK(r == want);
  }
  return done();
}
