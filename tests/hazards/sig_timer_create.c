// hazard: POSIX timers: value in siginfo, delivery to one thread, CPU-time clocks, overruns.
// machines: x86-64 aarch64
#include "hazard.h"
static volatile sig_atomic_t hits, bad;
static volatile pid_t where;
static void handler(int s, siginfo_t *i, void *u) {
  if (i->si_code != SI_TIMER || i->si_value.sival_int != 4711)
    bad++;
  where = syscall(SYS_gettid);
  hits++;
}
static volatile int stop;
static volatile pid_t worker_tid;
static void *worker(void *a) {
  worker_tid = syscall(SYS_gettid);
  while (!stop) {
  }
  return NULL;
}
static void run(clockid_t clock, pid_t tid) {
  struct sigevent e = {0};
  e.sigev_notify = tid ? SIGEV_THREAD_ID : SIGEV_SIGNAL;
  e.sigev_signo = SIGRTMIN + 3;
  e.sigev_value.sival_int = 4711;
  if (tid)
    e._sigev_un._tid = tid;
  timer_t t;
  CHECK(timer_create(clock, &e, &t) == 0);
  struct itimerspec it = {{0, 1000000}, {0, 1000000}};
  hits = 0;
  CHECK(timer_settime(t, 0, &it, NULL) == 0);
  double start = now();
  while (hits < 20 && now() - start < PATIENCE) {
    if (tid)
      CHECK(hits == 0 || where == tid);
  }
  CHECK(hits >= 20);
  CHECK(timer_delete(t) == 0);
}
int main(void) {
  on_signal(SIGRTMIN + 3, handler, SA_SIGINFO);
  run(CLOCK_MONOTONIC, 0);
  run(CLOCK_PROCESS_CPUTIME_ID, 0);
  pthread_t th;
  pthread_create(&th, NULL, worker, NULL);
  while (!worker_tid) {
  }
  run(CLOCK_REALTIME, worker_tid);
  stop = 1;
  pthread_join(th, NULL);
  CHECK(!bad);
  return done();
}
