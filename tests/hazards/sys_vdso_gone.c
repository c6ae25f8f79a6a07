// hazard: the program unmaps the vdso and its data, as Valgrind does: it is gone for the program, and nobody else stumbles.
#include "hazard.h"

static unsigned long data[64];
__attribute__((noinline)) static unsigned long work(unsigned long n) {
  for (unsigned long i = 0; i < n; i++)
    data[i & 63] = data[(i * 7) & 63] * 31 + i;
  return data[5];
}

/* Ranges called [vdso] or [vvar…]; unmaps them if told to. */
static int special(int unmap) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  unsigned long ranges[16][2];
  int n = 0;
  while (fgets(line, sizeof line, maps))
    if (strstr(line, "[vdso]") || strstr(line, "[vvar"))
      if (sscanf(line, "%lx-%lx", &ranges[n][0], &ranges[n][1]) == 2)
        n++;
  fclose(maps);
  for (int i = 0; unmap && i < n; i++)
    EQUAL(syscall(SYS_munmap, ranges[i][0], ranges[i][1] - ranges[i][0]), 0);
  return n;
}

int main(void) {
  CHECK(special(1) > 0);
  EQUAL(special(0), 0);
  /* Much new code, and a loop that gets hot. */
  printf("%lx\n", work(3000000));
  struct timespec t;
  EQUAL(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t), 0);
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    printf("%lx\n", work(3000000));
    fflush(stdout);
    execl("/bin/echo", "echo", "executed", NULL);
    _exit(1);
  }
  int status;
  waitpid(child, &status, 0);
  EQUAL(status, 0);
  return done();
}
