// verify: a program that starts a thread: verification ends there.
// flags: -O1 -static -pthread
// hands over
#include <pthread.h>
#include <stdio.h>
static void *work(void *p) { return (char *)p + 1; }
int main(void) {
  pthread_t t; void *r; pthread_create(&t, 0, work, 0); pthread_join(t, &r);
  printf("%d\n", (int)(long)r);
  return 3;
}
