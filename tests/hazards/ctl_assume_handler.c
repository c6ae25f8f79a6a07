// hazard: a fault in a loop that was optimised while nobody looked at faults, after a handler was installed.
#include "hazard.h"
enum { PAGES = 16, WORDS = PAGES * 512 };
static long *data;
static long at, partial, faults;
extern char load[];
/* rax = sum of n longs; rcx counts, rdx doubles the work so that there is something to get wrong. */
__asm__(".text\n.globl total\ntotal:\n"
        "xor %ecx, %ecx\n xor %eax, %eax\n xor %edx, %edx\n"
        "1: add $1, %rdx\n"
        "load: mov (%rdi,%rcx,8), %r8\n"
        "add %r8, %rax\n"
        "lea (%rdx,%rdx), %r9\n"
        "add $1, %rcx\n"
        "mov %rax, (%r10)\n"
        "cmp %rsi, %rcx\n"
        "jne 1b\n"
        "ret\n");
static long run(long n, long *out) {
  register long *p __asm__("rdi") = data;
  register long count __asm__("rsi") = n;
  register long *where __asm__("r10") = out;
  long sum;
  asm volatile("call total" : "=a"(sum), "+r"(p), "+r"(count) : "r"(where) : "rcx", "rdx", "r8", "r9", "memory", "cc");
  return sum;
}
static void handler(int s, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  faults++;
  EQUAL(r[REG_RIP], load);
  EQUAL(r[REG_RCX], at);
  EQUAL(r[REG_RDX], at + 1);
  EQUAL(r[REG_RAX], partial);
  EQUAL(r[REG_R9], at * 2);
  EQUAL(r[REG_RDI], data);
  EQUAL(r[REG_RSI], WORDS);
  EQUAL(info->si_addr, data + at);
  EQUAL(*(long *)r[REG_R10], partial);
  /* Flags are those of the add in front of the load. */
  EQUAL(r[REG_EFL] & 0x8d5, __builtin_parity((at + 1) & 255) ? 0 : 4);
  mprotect((char *)data + at / 512 * 4096, 4096, PROT_READ | PROT_WRITE);
}
static void divide_handler(int s, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  faults++;
  EQUAL(s, SIGFPE);
  EQUAL(r[REG_RCX], 0);
  r[REG_RCX] = 1;
}
static __attribute__((noinline)) long divide(long n, long d) {
  long sum = 0;
  for (long i = 0; i < n; i++) {
    long q = 100 + i, rest = 0, by = d - i;
    asm volatile("cqo; idiv %%rcx" : "+a"(q), "=d"(rest), "+c"(by) : : "cc");
    sum += q;
  }
  return sum;
}
int main(void) {
  data = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  long out, all = 0;
  for (long i = 0; i < WORDS; i++)
    all += data[i] = i * 3 + 1;
  for (int i = 0; i < 20; i++)
    EQUAL(run(WORDS, &out), all);
  long quotients = divide(5000, 1000000);
  on_signal(SIGSEGV, handler, SA_SIGINFO);
  for (int page = 1; page < PAGES; page += 3) {
    at = page * 512;
    partial = 0;
    for (long i = 0; i < at; i++)
      partial += data[i];
    mprotect((char *)data + page * 4096, 4096, PROT_NONE);
    EQUAL(run(WORDS, &out), all);
    EQUAL(out, all);
  }
  EQUAL(faults, 5);
  on_signal(SIGFPE, divide_handler, SA_SIGINFO);
  EQUAL(divide(5000, 1000000), quotients);
  divide(5000, 3000);
  EQUAL(faults, 6);
  return done();
}
