// hazard: the kernel writes code: read(), pread into a private mapping, process_vm_writev, rep movs, madvise.
#include "hazard.h"
#include <sys/uio.h>
static void make(unsigned char *b, int v) {
  b[0] = 0xb8;
  memcpy(b + 1, &v, 4);
  b[5] = 0xc3;
}
int main(void) {
  unsigned char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), b[64];
  int (*volatile f)(void) = (void *)(p + 100);
  int fds[2];
  pipe(fds);
  for (int i = 0; i < 600; i++) {
    int how = i % 5;
    make(b, i);
    struct iovec l = {b, 6}, r = {p + 100, 6};
    long n = 6;
    switch (how) {
    case 0:
      (void)!write(fds[1], b, 6);
      n = read(fds[0], p + 100, 6);
      break;
    case 1: n = process_vm_writev(getpid(), &l, 1, &r, 1, 0); break;
    case 2: {
      void *d = p + 100, *s = b;
      long c = 6;
      asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(c) : : "memory");
      break;
    }
    case 3: {
      (void)!write(fds[1], b, 6);
      struct iovec v[2] = {{p + 100, 2}, {p + 102, 4}};
      n = readv(fds[0], v, 2);
      break;
    }
    case 4:
      madvise(p, 4096, MADV_DONTNEED);
      memcpy(p + 100, b, 6);
      break;
    }
    EQUAL(n, 6);
    EQUAL(f(), i);
    if (hz_failures > 3)
      break;
  }
  int mem = open("/proc/self/mem", O_RDWR);
  for (int i = 0; i < 50 && mem >= 0; i++) {
    make(b, i + 7000);
    EQUAL(pwrite(mem, b, 6, (off_t)(p + 100)), 6);
    EQUAL(f(), i + 7000);
  }
  return done();
}
