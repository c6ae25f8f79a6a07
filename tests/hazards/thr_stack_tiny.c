// hazard: a thread whose stack pointer is near the end of its mapping, or not a stack at all.
#include "hazard.h"
static __attribute__((noinline)) long spin(long n) {
  long r;
  /* rsp points at the very start of a mapping: nothing below may be touched */
  char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(page, 4096, PROT_NONE);
  asm volatile("mov %%rsp, %%r8\n lea 4096(%2), %%rsp\n xor %%eax, %%eax\n mov %1, %%rcx\n"
               "1: add %%rcx, %%rax\n lea 2f(%%rip), %%r9\n jmp *%%r9\n 2: dec %%rcx\n jnz 1b\n mov %%r8, %%rsp"
               : "=a"(r) : "r"(n), "r"(page) : "rcx", "r8", "r9", "memory", "cc");
  /* a stack pointer used as an ordinary register */
  asm volatile("mov %%rsp, %%r8\n xor %%esp, %%esp\n mov %1, %%rcx\n 1: add %%rcx, %%rsp\n dec %%rcx\n jnz 1b\n add %%rsp, %%rax\n mov %%r8, %%rsp"
               : "+a"(r) : "r"(n) : "rcx", "r8", "memory", "cc");
  munmap(page, 8192);
  return r;
}
int main(void) {
  for (int i = 0; i < 20; i++)
    EQUAL(spin(10000), 10000l * 10001);
  return done();
}
