// hazard: tgkill and pthread_kill reach the thread they name; process-wide signals reach a thread that lets them in.
#include "hazard.h"
static volatile pid_t got[65];
static volatile int hits;
static void handler(int s) {
  got[s] = syscall(SYS_gettid);
  __sync_fetch_and_add(&hits, 1);
}
static volatile int stop;
static volatile pid_t tids[8];
static void *spinner(void *a) {
  long n = (long)a;
  tids[n] = syscall(SYS_gettid);
  while (!stop) {
    if (n & 1)
      asm volatile("pause");
  }
  return NULL;
}
static void wait_hits(int n) {
  double start = now();
  while (hits < n && now() - start < PATIENCE)
    sched_yield();
  EQUAL(hits, n);
}
int main(void) {
  pthread_t th[8];
  on_signal(SIGUSR1, handler, SA_RESTART);
  on_signal(SIGUSR2, handler, SA_RESTART);
  for (long i = 0; i < 8; i++)
    pthread_create(&th[i], NULL, spinner, (void *)i);
  for (int i = 0; i < 8; i++)
    while (!tids[i])
      sched_yield();
  for (int round = 0; round < 10; round++)
    for (int i = 0; i < 8; i++) {
      hits = 0;
      if (round & 1)
        pthread_kill(th[i], SIGUSR1);
      else
        syscall(SYS_tgkill, getpid(), tids[i], SIGUSR1);
      wait_hits(1);
      EQUAL(got[SIGUSR1], tids[i]);
    }
  sigset_t m;
  sigfillset(&m);
  pthread_sigmask(SIG_BLOCK, &m, NULL);
  for (int round = 0; round < 20; round++) {
    hits = 0;
    kill(getpid(), SIGUSR2);
    wait_hits(1);
    CHECK(got[SIGUSR2] != getpid());
  }
  stop = 1;
  for (int i = 0; i < 8; i++)
    pthread_join(th[i], NULL);
  EQUAL(syscall(SYS_tgkill, getpid(), tids[0], SIGUSR1), -1);
  EQUAL(errno, ESRCH);
  return done();
}
