// hazard: a thread or process dies holding a robust mutex: the next owner is told.
// machines: x86-64 aarch64
#include "hazard.h"
static pthread_mutex_t *m;
static void *dies(void *a) {
  pthread_mutex_lock(m);
  return NULL;
}
int main(void) {
  m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t at;
  pthread_mutexattr_init(&at);
  pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(m, &at);
  pthread_t t;
  pthread_create(&t, NULL, dies, NULL);
  pthread_join(t, NULL);
  printf("thread: %s\n", strerrorname_np(pthread_mutex_lock(m)));
  pthread_mutex_consistent(m);
  pthread_mutex_unlock(m);
  fflush(stdout);
  pid_t p = fork();
  if (!p) {
    pthread_mutex_lock(m);
    raise(SIGKILL);
  }
  waitpid(p, NULL, 0);
  printf("process: %s\n", strerrorname_np(pthread_mutex_lock(m)));
  pthread_mutex_unlock(m);
  printf("not consistent: %s\n", strerrorname_np(pthread_mutex_lock(m)));
  return done();
}
