// hazard: thread-local variables in threads, after fork, in many models.
// flags: -O2
// machines: x86-64 aarch64
#include "hazard.h"
static __thread int counter = 5;
__thread char big[3000] = "hello";
static pthread_key_t key;
static volatile int destroyed;
static void destroy(void *v) { __sync_fetch_and_add(&destroyed, (int)(long)v); }
static void *thread(void *a) {
  for (int i = 0; i < 10000; i++)
    counter += i & 3;
  CHECK(!strcmp(big, "hello"));
  sprintf(big, "thread %ld", (long)a);
  pthread_setspecific(key, (void *)1);
  sched_yield();
  char want[40];
  sprintf(want, "thread %ld", (long)a);
  CHECK(!strcmp(big, want));
  return (void *)(long)counter;
}
int main(void) {
  pthread_t t[20];
  pthread_key_create(&key, destroy);
  for (long i = 0; i < 20; i++)
    pthread_create(&t[i], NULL, thread, (void *)i);
  for (int i = 0; i < 20; i++) {
    void *r;
    pthread_join(t[i], &r);
    EQUAL((long)r, 15005);
  }
  EQUAL(destroyed, 20);
  EQUAL(counter, 5);
  counter = 99;
  fflush(stdout);
  pid_t p = fork();
  if (!p)
    _exit(counter);
  printf("%s\n", ending(p));
  errno = 7;
  EQUAL(errno, 7);
  return done();
}
