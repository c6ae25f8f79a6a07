// hazard: a process replaces itself many times; nothing accumulates (descriptors, memory, arguments).
// machines: x86-64 aarch64
#include "hazard.h"
#include <dirent.h>
int main(int argc, char **argv) {
  int n = argc > 1 ? atoi(argv[1]) : 0;
  if (n < 40) {
    char text[16];
    sprintf(text, "%d", n + 1);
    execl("/proc/self/exe", argv[0], text, NULL);
    return 1;
  }
  int fds = 0, low = 0;
  DIR *d = opendir("/proc/self/fd");
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d) && atoi(e->d_name) < 100)
      fds++;
  printf("%d descriptors, argc %d\n", fds, argc);
  return done();
}
