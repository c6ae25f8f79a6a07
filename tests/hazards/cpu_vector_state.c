// hazard: xmm, ymm, zmm and mask registers survive system calls, signals, thread switches and indirect branches.
// needs: avx2
#include "hazard.h"
static volatile int hits;
static void handler(int s) {
  asm volatile("pxor %%xmm0, %%xmm0; pcmpeqd %%xmm7, %%xmm7; vpxor %%ymm15, %%ymm15, %%ymm15; vzeroall" : : : "xmm0", "xmm7", "xmm15");
  hits++;
}
static int check_avx512(void) {
  static uint64_t in[64] __attribute__((aligned(64))), out[64] __attribute__((aligned(64)));
  long k = 0;
  for (int i = 0; i < 64; i++)
    in[i] = 0x1111111111111111ull * (i & 15) + i;
  asm volatile("vmovdqu64 (%2), %%zmm0; vmovdqu64 64(%2), %%zmm9; vmovdqu64 128(%2), %%zmm17; vmovdqu64 192(%2), %%zmm31\n"
               "mov $0xa5a5, %%eax; kmovw %%eax, %%k1; mov $0x5b5b, %%eax; kmovw %%eax, %%k7\n"
               "mov $400000, %%ecx\n 1: lea 2f(%%rip), %%rax\n jmp *%%rax\n ud2\n 2: push %%rcx\n mov $39, %%eax\n test $1023, %%ecx\n jnz 3f\n syscall\n 3: pop %%rcx\n dec %%ecx\n jnz 1b\n"
               "vmovdqu64 %%zmm0, (%1); vmovdqu64 %%zmm9, 64(%1); vmovdqu64 %%zmm17, 128(%1); vmovdqu64 %%zmm31, 192(%1)\n"
               "kmovw %%k1, %%eax; kmovw %%k7, %%ecx; shl $16, %%rcx; add %%rcx, %%rax; vzeroupper"
               : "=&a"(k) : "r"(out), "r"(in) : "rcx", "r11", "memory", "cc", "xmm0", "xmm9");
  return !memcmp(in, out, 256) && k == 0x5b5ba5a5;
}
static int check_avx2(void) {
  static uint64_t in[32] __attribute__((aligned(64))), out[32] __attribute__((aligned(64)));
  for (int i = 0; i < 32; i++)
    in[i] = 0x0123456789abcdefull * (i + 1);
  asm volatile("vmovdqu (%1), %%ymm0; vmovdqu 32(%1), %%ymm5; vmovdqu 64(%1), %%ymm8; vmovdqu 96(%1), %%ymm15\n"
               "mov $400000, %%ecx\n 1: lea 2f(%%rip), %%rax\n jmp *%%rax\n ud2\n 2: push %%rcx\n mov $39, %%eax\n test $1023, %%ecx\n jnz 3f\n syscall\n 3: pop %%rcx\n dec %%ecx\n jnz 1b\n"
               "vmovdqu %%ymm0, (%0); vmovdqu %%ymm5, 32(%0); vmovdqu %%ymm8, 64(%0); vmovdqu %%ymm15, 96(%0)\n vzeroupper"
               : : "r"(out), "r"(in) : "rax", "rcx", "r11", "memory", "cc", "xmm0", "xmm5", "xmm8", "xmm15");
  return !memcmp(in, out, 128);
}
/* fills its own registers with other values all the time */
static volatile int stop;
static void *disturber(void *a) {
  while (!stop) {
    asm volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vpcmpeqd %%ymm5, %%ymm5, %%ymm5; vpcmpeqd %%ymm8, %%ymm8, %%ymm8; vpcmpeqd %%ymm15, %%ymm15, %%ymm15"
                 : : : "xmm0", "xmm5", "xmm8", "xmm15");
    sched_yield();
  }
  return NULL;
}
int main(void) {
  int avx512 = __builtin_cpu_supports("avx512f");
  on_signal(SIGALRM, handler, SA_RESTART);
  pthread_t t;
  sigset_t m;
  sigemptyset(&m);
  sigaddset(&m, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &m, NULL);
  pthread_create(&t, NULL, disturber, NULL);
  pthread_sigmask(SIG_UNBLOCK, &m, NULL);
  ticks_us(700);
  double start = now();
  for (int i = 0; i < 10 || (!hits && now() - start < PATIENCE); i++) {
    CHECK(check_avx2());
    if (avx512)
      CHECK(check_avx512());
  }
  ticks_us(0);
  CHECK(hits > 0);
  stop = 1;
  pthread_join(t, NULL);
  return done();
}
