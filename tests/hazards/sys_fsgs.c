// hazard: segment bases belong to the program: arch_prctl, rdfsbase, wrgsbase and accesses through gs: and fs:.
#include "hazard.h"
#include <asm/prctl.h>
#include <sys/auxv.h>
static int getauxval_fsgsbase(void) { return getauxval(AT_HWCAP2) & 2; }
static volatile int hits, bad;
static long cell[8] = {11, 22, 33, 44, 55, 66, 77, 88};
static void handler(int s) {
  long v;
  asm volatile("mov %%gs:8, %0" : "=r"(v));
  bad += v != 22;
  hits++;
}
static void *thread(void *a) {
  long mine[4] = {(long)a, (long)a * 2}, v;
  syscall(SYS_arch_prctl, ARCH_SET_GS, mine);
  for (int i = 0; i < 100000; i++) {
    asm volatile("mov %%gs:8, %0" : "=r"(v));
    if (v != (long)a * 2) {
      EQUAL(v, (long)a * 2);
      break;
    }
    if (i % 5000 == 0)
      sched_yield();
  }
  return NULL;
}
int main(void) {
  unsigned long fs = 0, gs = 1;
  EQUAL(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);
  EQUAL(fs, (unsigned long)pthread_self());
  EQUAL(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs), 0);
  EQUAL(gs, 0);
  on_signal(SIGALRM, handler, SA_RESTART);
  EQUAL(syscall(SYS_arch_prctl, ARCH_SET_GS, cell), 0);
  EQUAL(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs), 0);
  EQUAL(gs, (unsigned long)cell);
  ticks_us(1000);
  long v;
  double start = now();
  while (now() - start < 0.2) {
    asm volatile("mov %%gs:16, %0" : "=r"(v));
    if (v != 33) {
      EQUAL(v, 33);
      break;
    }
    asm volatile("incq %%gs:24\n mov %%gs:(%1), %0" : "=r"(v) : "r"(32l) : "memory", "cc");
    if (v != 55) {
      EQUAL(v, 55);
      break;
    }
    getppid();
  }
  ticks_us(0);
  CHECK(cell[3] > 44);
  EQUAL(bad, 0);
  pthread_t t[4];
  for (long i = 0; i < 4; i++)
    pthread_create(&t[i], NULL, thread, (void *)(i + 1));
  for (int i = 0; i < 4; i++)
    pthread_join(t[i], NULL);
  asm volatile("mov %%gs:8, %0" : "=r"(v));
  EQUAL(v, 22);
  if (getauxval_fsgsbase()) {
    unsigned long base;
    asm volatile("rdgsbase %0" : "=r"(base));
    EQUAL(base, (unsigned long)cell);
    asm volatile("wrgsbase %0" : : "r"(cell + 1));
    asm volatile("mov %%gs:8, %0" : "=r"(v));
    EQUAL(v, 33);
    asm volatile("rdfsbase %0" : "=r"(base));
    EQUAL(base, fs);
    long other[4] = {5, 6, 7, 8};
    asm volatile("wrfsbase %1\n mov %%fs:8, %0\n wrfsbase %2" : "=&r"(v) : "r"(other), "r"(fs));
    EQUAL(v, 6);
    asm volatile("push %%rbx; lea 1f(%%rip), %%rbx; movq $0, %%gs:0; lea (%%rbx), %0; pop %%rbx\n1:" : "=r"(v));
    CHECK(cell[1] == 0);
  }
  EQUAL(syscall(SYS_arch_prctl, ARCH_SET_GS, 0), 0);
  EQUAL(syscall(SYS_arch_prctl, 0x9999, 0), -1);
  EQUAL(errno, EINVAL);
  EQUAL(syscall(SYS_arch_prctl, ARCH_SET_GS, -1l), -1);
  EQUAL(errno, EPERM);
  return done();
}
