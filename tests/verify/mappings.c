// verify: memory that is mapped, moved, protected and given back; the break; files.
// flags: -O1 -static
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv) {
  char *p = mmap(0, 0x8000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(p, 3, 0x8000);
  p = mremap(p, 0x8000, 0x20000, MREMAP_MAYMOVE);
  mprotect(p + 0x1000, 0x1000, PROT_READ); munmap(p + 0x4000, 0x1000);
  int fd = open(argv[0], O_RDONLY);
  char *f = mmap(0, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  f[1] = 'X';
  char *b = sbrk(10000); memset(b, 7, 10000);
  char *m = malloc(300000); memset(m, 1, 300000);
  char buffer[64]; ssize_t n = pread(fd, buffer, 64, 0);
  printf("%d %c%c %d %d %zd %d\n", p[0x7fff] + p[0x1000], f[1], f[2], b[9999], m[299999], n, buffer[1]);
  free(m);
}
