// hazard: locked instructions, mutexes, condition variables and barriers count exactly.
#include "hazard.h"
static long a_add, a_cas, plain, m_count;
static unsigned __int128 wide __attribute__((aligned(16)));
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t b;
static volatile int spin;
static int turn;
static void *thread(void *arg) {
  long id = (long)arg;
  pthread_barrier_wait(&b);
  for (int i = 0; i < 20000; i++) {
    __sync_fetch_and_add(&a_add, 1);
    long old;
    do
      old = *(volatile long *)&a_cas;
    while (!__sync_bool_compare_and_swap(&a_cas, old, old + 3));
    while (__sync_lock_test_and_set(&spin, 1))
      asm volatile("pause");
    plain++;
    __sync_lock_release(&spin);
    long lo = ((volatile long *)&wide)[0], hi = ((volatile long *)&wide)[1];
    char ok;
    do
      asm volatile("lock cmpxchg16b %1\n sete %0" : "=q"(ok), "+m"(wide), "+a"(lo), "+d"(hi) : "b"(lo + 1), "c"(hi + 2) : "cc", "memory");
    while (!ok);
    if (i % 20 == 0) {
      pthread_mutex_lock(&m);
      m_count++;
      pthread_mutex_unlock(&m);
    }
  }
  for (int i = 0; i < 200; i++) {
    pthread_mutex_lock(&m);
    while (turn % 4 != id)
      pthread_cond_wait(&c, &m);
    turn++;
    pthread_cond_broadcast(&c);
    pthread_mutex_unlock(&m);
  }
  return NULL;
}
int main(void) {
  pthread_t t[4];
  pthread_barrier_init(&b, NULL, 4);
  for (long i = 0; i < 4; i++)
    pthread_create(&t[i], NULL, thread, (void *)i);
  for (int i = 0; i < 4; i++)
    pthread_join(t[i], NULL);
  EQUAL(a_add, 80000);
  EQUAL(a_cas, 240000);
  EQUAL(plain, 80000);
  EQUAL(m_count, 4000);
  EQUAL(turn, 800);
  EQUAL((long)wide, 80000);
  EQUAL((long)(wide >> 64), 160000);
  return done();
}
