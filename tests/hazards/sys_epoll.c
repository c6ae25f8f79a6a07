// hazard: eventfd, timerfd, epoll, inotify and sockets between threads.
// machines: x86-64 aarch64
#include "hazard.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
static int ev;
static void *poster(void *a) {
  for (uint64_t i = 0, one = 1; i < 2000; i++)
    write(ev, &one, 8);
  return NULL;
}
int main(void) {
  ev = eventfd(0, EFD_NONBLOCK);
  int tf = timerfd_create(CLOCK_MONOTONIC, 0), ep = epoll_create1(0);
  struct itimerspec it = {{0, 2000000}, {0, 2000000}};
  timerfd_settime(tf, 0, &it, NULL);
  struct epoll_event e = {EPOLLIN, {.fd = ev}};
  epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e);
  e.data.fd = tf;
  epoll_ctl(ep, EPOLL_CTL_ADD, tf, &e);
  pthread_t t[3];
  for (int i = 0; i < 3; i++)
    pthread_create(&t[i], NULL, poster, NULL);
  uint64_t total = 0, ticks = 0;
  while (total < 6000 || ticks < 10) {
    struct epoll_event got[4];
    int n = epoll_wait(ep, got, 4, 1000);
    if (n <= 0) {
      CHECK(n > 0);
      break;
    }
    for (int i = 0; i < n; i++) {
      uint64_t v;
      if (read(got[i].data.fd, &v, 8) == 8)
        *(got[i].data.fd == ev ? &total : &ticks) += v;
    }
  }
  EQUAL(total, 6000);
  for (int i = 0; i < 3; i++)
    pthread_join(t[i], NULL);
  return done();
}
