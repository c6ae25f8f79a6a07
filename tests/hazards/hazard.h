/* Shared by the hazard programs: checks that name their line, a final verdict, a few raw helpers.
 * Programs print only what is the same in every run; numbers that vary go through CHECK. */
#ifndef HAZARD_H
#define HAZARD_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static int hz_failures;

/* Reports a failed expectation and goes on. */
#define CHECK(cond)                                                            \
  do {                                                                         \
    if (!(cond)) {                                                             \
      hz_failures++;                                                           \
      printf("line %d: not true: %s (errno %d)\n", __LINE__, #cond, errno);    \
      fflush(stdout);                                                          \
    }                                                                          \
  } while (0)

/* Reports two integers that should be equal and are not. */
#define EQUAL(a, b)                                                            \
  do {                                                                         \
    long long hz_a = (long long)(a), hz_b = (long long)(b);                    \
    if (hz_a != hz_b) {                                                        \
      hz_failures++;                                                           \
      printf("line %d: %s is %#llx, not %#llx\n", __LINE__, #a, hz_a, hz_b);   \
      fflush(stdout);                                                          \
    }                                                                          \
  } while (0)

/* The verdict; the value is for main to return. */
static inline int done(void) {
  printf(hz_failures ? "FAILED %d\n" : "ok\n", hz_failures);
  fflush(stdout);
  return hz_failures ? 1 : 0;
}

/* Installs a handler; for one-argument handlers leave SA_SIGINFO out. */
static inline void on_signal(int sig, void *handler, int flags) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
  sa.sa_flags = flags;
  if (sigaction(sig, &sa, NULL)) {
    perror("sigaction");
    exit(2);
  }
}

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds after which something that must come counts as lost; long, since machines may be busy. */
#define PATIENCE 100

/* Processor time of this process, seconds. */
static inline double cpu_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void sleep_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&t, &t) && errno == EINTR) {
  }
}

/* One-shot real-time timer, milliseconds. */
static inline void alarm_ms(long ms) {
  struct itimerval it = {{0, 0}, {ms / 1000, ms % 1000 * 1000}};
  setitimer(ITIMER_REAL, &it, NULL);
}

/* Repeating real-time timer, microseconds; 0 stops it. */
static inline void ticks_us(long us) {
  struct itimerval it = {{0, us}, {0, us}};
  setitimer(ITIMER_REAL, &it, NULL);
}

/* Waits for a child and turns its status into "exit 3", "signal 11" … in a static buffer. */
static inline const char *ending(pid_t pid) {
  static char text[64];
  int status;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR)
      return "no child";
  }
  if (WIFEXITED(status))
    snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
  else if (WIFSIGNALED(status))
    snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
  else
    snprintf(text, sizeof text, "status %#x", status);
  return text;
}

/* A small generator of pseudo-random numbers, the same in every run. */
static inline uint64_t rnd(uint64_t *state) {
  uint64_t x = *state ? *state : 88172645463325252ull;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}
#endif
