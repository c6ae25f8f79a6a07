// verify: signals: raised, from a timer, and by faults that the handler looks at and repairs.
// flags: -O1 -static
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
static volatile int raised, ticks, faults; static sigjmp_buf back;
static void on_raise(int s) { raised += s; }
static void on_tick(int s) { ticks++; }
static void on_fault(int s, siginfo_t *i, void *c) {
  faults += s;
  if (s == SIGFPE) ((ucontext_t *)c)->uc_mcontext.gregs[REG_RCX] = 3;
  else if (s == SIGSEGV) siglongjmp(back, i->si_addr == (void *)16);
}
int main(void) {
  struct sigaction a = {.sa_handler = on_raise}; sigaction(SIGUSR1, &a, 0);
  a.sa_handler = on_tick; sigaction(SIGALRM, &a, 0);
  a.sa_sigaction = on_fault; a.sa_flags = SA_SIGINFO; sigaction(SIGSEGV, &a, 0); sigaction(SIGFPE, &a, 0); sigaction(SIGTRAP, &a, 0);
  for (int i = 0; i < 3; i++) raise(SIGUSR1);
  struct itimerval t = {.it_value.tv_usec = 1000}; setitimer(ITIMER_REAL, &t, 0);
  while (!ticks) for (volatile int i = 0; i < 50; i++) ;
  int q; asm volatile("xor %%edx, %%edx\n mov $21, %%eax\n xor %%ecx, %%ecx\n idiv %%ecx" : "=&a"(q) : : "rcx", "rdx", "cc");
  int good = sigsetjmp(back, 1);
  if (!good) *(volatile int *)16 = 1;
  asm volatile("int3");
  printf("%d %d %d %d %d\n", raised, ticks, q, good, faults);
}
