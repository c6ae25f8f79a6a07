// hazard: a signal interrupts a blocking system call: EINTR or restart, exactly as the kernel does.
#include "hazard.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
static volatile sig_atomic_t hits;
static void handler(int s) { hits++; }
static int fds[2], sv[2], ep;
static uint32_t word;
static void *writer(void *ms) {
  sleep_ms((long)ms);
  (void)!write(fds[1], "x", 1);
  (void)!write(sv[1], "y", 1);
  syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
  return NULL;
}
static long call(int which) {
  char c;
  struct pollfd p = {fds[0], POLLIN, 0};
  struct timespec t = {5, 0}, ft = {5, 0};
  struct timeval tv = {5, 0};
  struct epoll_event ev;
  fd_set set;
  sigset_t none;
  int status;
  sigemptyset(&none);
  switch (which) {
  case 0: return syscall(SYS_read, fds[0], &c, 1);
  case 1: return syscall(SYS_nanosleep, &t, NULL);
  case 2: return syscall(SYS_poll, &p, 1, 5000);
  case 3: return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ft, NULL, 0);
  case 4: return syscall(SYS_wait4, -1, &status, 0, NULL) > 0 ? WEXITSTATUS(status) : -1;
  case 5: return syscall(SYS_pause);
  case 6: FD_ZERO(&set); FD_SET(fds[0], &set); return select(fds[0] + 1, &set, NULL, NULL, &tv);
  case 7: return syscall(SYS_recvfrom, sv[0], &c, 1, 0, NULL, NULL);
  case 8: return epoll_wait(ep, &ev, 1, 5000);
  case 9: return syscall(SYS_rt_sigsuspend, &none, 8);
  case 10: return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
  }
  return -2;
}
int main(void) {
  static const char *names[] = {"read", "nanosleep", "poll", "futex", "wait4", "pause",
                                "select", "recv", "epoll_wait", "sigsuspend", "clock_nanosleep"};
  (void)!pipe(fds);
  socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
  ep = epoll_create1(0);
  struct epoll_event ev = {EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev);
  for (int restart = 0; restart < 2; restart++)
    for (int i = 0; i < 11; i++) {
      on_signal(SIGALRM, handler, restart ? SA_RESTART : 0);
      hits = 0;
      pid_t child = 0;
      pthread_t th = 0;
      sigset_t block, old;
      sigemptyset(&block);
      sigaddset(&block, SIGALRM);
      if (i == 4) {
        child = fork();
        if (!child) {
          sleep_ms(300);
          _exit(9);
        }
      } else if (i != 1 && i != 5 && i != 9 && i != 10) {
        /* the thread that lets the call end must not take the signal */
        pthread_sigmask(SIG_BLOCK, &block, &old);
        pthread_create(&th, NULL, writer, (void *)300l);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
      }
      /* Again and again, so that a call that began late is interrupted, too. */
      struct itimerval tick = {{0, 100000}, {0, 100000}}, never = {{0, 0}, {0, 0}};
      double armed = now();
      setitimer(ITIMER_REAL, &tick, NULL);
      errno = 0;
      double start = now();
      long r = call(i);
      int e = r < 0 ? errno : 0;
      double took = now() - start;
      setitimer(ITIMER_REAL, &never, NULL);
      int late = start - armed > 0.02;
      if (!late) {
        printf("%s %s: %ld %s, handler ran: %d\n", names[i], restart ? "SA_RESTART" : "plain", r,
               e ? strerrorname_np(e) : "-", hits > 0);
        CHECK(took > 0.05);
      }
      if (th)
        pthread_join(th, NULL);
      if (child)
        waitpid(child, NULL, 0);
      fcntl(fds[0], F_SETFL, O_NONBLOCK);
      fcntl(sv[0], F_SETFL, O_NONBLOCK);
      char buf[16];
      (void)!read(fds[0], buf, 16);
      (void)!read(sv[0], buf, 16);
      fcntl(fds[0], F_SETFL, 0);
      fcntl(sv[0], F_SETFL, 0);
      /* On a busy machine the signal may have come before the call: that says nothing. */
      if (late)
        i--;
    }
  return done();
}
