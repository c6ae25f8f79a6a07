// hazard: execve from a thread that is not the leader, while others spin: one process remains, same pid.
// machines: x86-64 aarch64
#include "hazard.h"
static char *self;
static pid_t pid;
static void *spin(void *a) {
  for (;;)
    asm volatile("");
}
static void *execer(void *a) {
  char text[20];
  sprintf(text, "%d", pid);
  sleep_ms(10);
  execl("/proc/self/exe", self, text, NULL);
  _exit(9);
}
int main(int argc, char **argv) {
  if (argc > 1) {
    char line[100];
    EQUAL(getpid(), atoi(argv[1]));
    EQUAL(syscall(SYS_gettid), getpid());
    FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f))
      if (!strncmp(line, "Threads", 7))
        fputs(line, stdout);
    return done();
  }
  self = argv[0];
  pid = getpid();
  pthread_t t;
  for (int i = 0; i < 4; i++)
    pthread_create(&t, NULL, spin, NULL);
  pthread_create(&t, NULL, execer, NULL);
  for (;;)
    pause();
}
