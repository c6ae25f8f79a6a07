// hazard: a signal during a system call leaves the arguments and all registers as the kernel does.
#include "hazard.h"
static volatile int hits;
static greg_t g[NGREG];
static void handler(int s, siginfo_t *i, void *u) {
  memcpy(g, ((ucontext_t *)u)->uc_mcontext.gregs, sizeof g);
  hits++;
}
extern char sc_next[];
static int fds[2];
static void *writer(void *a) {
  sleep_ms(120);
  (void)!write(fds[1], "x", 1);
  return NULL;
}
int main(void) {
  pipe(fds);
  for (int restart = 0; restart < 2; restart++) {
    on_signal(SIGALRM, handler, SA_SIGINFO | (restart ? SA_RESTART : 0));
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGALRM);
    pthread_t th;
    if (restart) {
      pthread_sigmask(SIG_BLOCK, &m, NULL);
      pthread_create(&th, NULL, writer, NULL);
      pthread_sigmask(SIG_UNBLOCK, &m, NULL);
    }
    alarm_ms(40);
    char c;
    long rax, rcx, r11, rdx, rsi, rdi;
    asm volatile("mov $0x3333, %%r12d; mov $0x8888, %%r8d; mov $0x9999, %%r9d; mov $0x1010, %%r10d; stc; syscall; .globl sc_next\nsc_next: nop"
                 : "=a"(rax), "=c"(rcx), "=d"(rdx), "=S"(rsi), "=D"(rdi) : "a"(SYS_read), "D"(fds[0]), "S"(&c), "d"(1)
                 : "r8", "r9", "r10", "r11", "r12", "memory", "cc");
    printf("result %ld\n", rax);
    EQUAL(g[REG_R12], 0x3333);
    EQUAL(g[REG_R8], 0x8888);
    EQUAL(g[REG_R9], 0x9999);
    EQUAL(g[REG_R10], 0x1010);
    EQUAL(g[REG_RDI], fds[0]);
    EQUAL(g[REG_RSI], (long)&c);
    EQUAL(g[REG_RDX], 1);
    EQUAL(rdx, 1);
    printf("rax %lld rip %lld\n", restart ? 0ll : (long long)g[REG_RAX],
           (long long)g[REG_RIP] - (long long)sc_next);
    EQUAL(rcx, (long)sc_next);
    if (restart)
      pthread_join(th, NULL);
  }
  return done();
}
