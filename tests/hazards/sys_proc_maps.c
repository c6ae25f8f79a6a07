// hazard: /proc/self/maps shows the program, its libraries, heap and stack, and nothing foreign that is executable.
#include "hazard.h"
static int has(unsigned long a, const char *perm, const char *name) {
  char line[600];
  int found = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, f)) {
    unsigned long lo, hi;
    char p[8], path[400] = "";
    sscanf(line, "%lx-%lx %7s %*s %*s %*s %399s", &lo, &hi, p, path);
    if (a >= lo && a < hi) {
      found = 1;
      CHECK(!strcmp(p, perm));
      if (!strstr(path, name)) {
        hz_failures++;
        printf("expected %s, found %s", name, line);
      }
    }
  }
  fclose(f);
  return found;
}
int main(void) {
  char line[600];
  int local;
  CHECK(has((unsigned long)main, "r-xp", "sys_proc_maps"));
  CHECK(has((unsigned long)&hz_failures, "rw-p", ""));
  CHECK(has((unsigned long)&local, "rw-p", "[stack]"));
  char *heap = malloc(1000);
  CHECK(has((unsigned long)heap, "rw-p", "[heap]"));
  CHECK(has((unsigned long)printf, "r-xp", "libc"));
  char *m = mmap(NULL, 12288, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(has((unsigned long)m, "r--p", ""));
  mprotect(m + 4096, 4096, PROT_READ | PROT_WRITE);
  CHECK(has((unsigned long)m + 4096, "rw-p", ""));
  munmap(m, 12288);
  FILE *f = fopen("/proc/self/maps", "r");
  int exec = 0, w_x = 0, unnamed_exec = 0, stacks = 0, heaps = 0, vdso = 0, foreign = 0;
  unsigned long prev = 0;
  while (fgets(line, sizeof line, f)) {
    unsigned long lo, hi;
    char p[8], path[400] = "";
    sscanf(line, "%lx-%lx %7s %*s %*s %*s %399s", &lo, &hi, p, path);
    CHECK(lo >= prev);
    prev = hi;
    exec += p[2] == 'x';
    w_x += p[2] == 'x' && p[1] == 'w';
    unnamed_exec += p[2] == 'x' && !path[0];
    stacks += !strcmp(path, "[stack]");
    heaps += !strcmp(path, "[heap]");
    vdso += !strcmp(path, "[vdso]");
    if (path[0] == '/' && !strstr(path, "sys_proc_maps") && !strstr(path, "/lib")) {
      foreign++;
      printf("foreign: %s\n", line);
    }
  }
  printf("executable %d, writable too %d, unnamed %d, stacks %d, heaps %d, vdso %d, foreign %d\n", exec, w_x, unnamed_exec, stacks, heaps,
         vdso, foreign);
  return done();
}
