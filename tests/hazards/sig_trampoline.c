// hazard: the handler's frame is the kernel's: return address is sa_restorer, arguments in rdi, rsi, rdx, stack aligned;
// hazard: a program may call rt_sigreturn by hand from a frame that it built by copying.
#include "hazard.h"
static volatile int hits;
static void handler(int s, siginfo_t *i, void *u) {
  void **frame = __builtin_frame_address(0);
  hits++;
  CHECK(((uintptr_t)frame & 15) == 0);
  CHECK(s == SIGUSR1 && i->si_signo == SIGUSR1);
  unsigned char *ret = __builtin_return_address(0);
  /* mov $15, %rax; syscall */
  CHECK(ret[0] == 0x48 && ret[1] == 0xc7 && ret[2] == 0xc0 && ret[3] == 15 && ret[7] == 0x0f && ret[8] == 0x05);
  CHECK((char *)u > (char *)frame && (char *)i > (char *)u);
  CHECK(((ucontext_t *)u)->uc_flags & 1);
  CHECK(((ucontext_t *)u)->uc_mcontext.fpregs != NULL);
  CHECK((((ucontext_t *)u)->uc_mcontext.gregs[REG_CSGSFS] & 0xffff) == 0x33);
}
int main(void) {
  on_signal(SIGUSR1, handler, SA_SIGINFO);
  for (int i = 0; i < 100; i++)
    raise(SIGUSR1);
  EQUAL(hits, 100);
  return done();
}
