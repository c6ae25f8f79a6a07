// hazard: at a fault the handler sees the exact program counter, every register, the address and the
// hazard: error code; it repairs and resumes, also in hot loops where fragments are linked and traced.
// tiers: interp
#include "hazard.h"
static greg_t g[NGREG];
static void *addr;
static int sig, code;
static long skip;
static void handler(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  memcpy(g, uc->uc_mcontext.gregs, sizeof g);
  addr = i->si_addr;
  sig = s;
  code = i->si_code;
  uc->uc_mcontext.gregs[REG_RIP] += skip;
}
#define SET_ALL                                                                                     \
  "mov $0x101, %%eax; mov $0x102, %%ebx; mov $0x103, %%ecx; mov $0x104, %%edx; mov $0x105, %%esi;" \
  "mov $0x106, %%edi; mov $0x108, %%r8d; mov $0x109, %%r9d; mov $0x10a, %%r10d; mov $0x10b, %%r11d;" \
  "mov $0x10c, %%r12d; mov $0x10d, %%r13d; mov $0x10e, %%r14d; mov $0x10f, %%r15d;"
#define CLOBBERS "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc"
static void check_all(greg_t rax) {
  static const int reg[] = {REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  static const greg_t want[] = {0x102, 0x103, 0x104, 0x105, 0x108, 0x109, 0x10a, 0x10b, 0x10c, 0x10d, 0x10e, 0x10f};
  for (int i = 0; i < 12; i++)
    if (g[reg[i]] != want[i]) {
      hz_failures++;
      printf("register %d is %#llx not %#llx\n", reg[i], (long long)g[reg[i]], (long long)want[i]);
    }
  EQUAL(g[REG_RAX], rax);
}
extern char f_store[], f_load[], f_push[], f_rep[], f_rmw[], f_noncanon[], f_sse[];
int main(void) {
  on_signal(SIGSEGV, handler, SA_SIGINFO);
  on_signal(SIGBUS, handler, SA_SIGINFO);
  static char alt[65536];
  stack_t st = {alt, 0, sizeof alt};
  sigaltstack(&st, NULL);
  char *ro = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(ro, 7, 4096);
  char *rw = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(ro, 4096, PROT_READ);
  mprotect(rw + 4096, 4096, PROT_NONE);
  for (int k = 0; k < 200; k++) {
    /* store to address 0x106 */
    skip = 3;
    asm volatile(SET_ALL "xor %%eax, %%eax; stc; .globl f_store\nf_store: mov %%rax, (%%rdi); nop" : : : CLOBBERS);
    check_all(0);
    EQUAL(g[REG_RIP], (long)f_store);
    EQUAL((long)addr, 0x106);
    EQUAL(sig, SIGSEGV);
    EQUAL(code, SEGV_MAPERR);
    EQUAL(g[REG_ERR], 6);
    EQUAL(g[REG_TRAPNO], 14);
    EQUAL(g[REG_CR2], 0x106);
    EQUAL(g[REG_EFL] & 0x45, 0x45);
    EQUAL(g[REG_RDI], 0x106);
    /* load after several instructions of the block */
    skip = 4;
    asm volatile(SET_ALL "add $5, %%rax; lea 0x20(%%rax), %%rax; .globl f_load\nf_load: mov 8(%%rdi), %%rbx; nop" : : : CLOBBERS);
    check_all(0x126);
    EQUAL(g[REG_RIP], (long)f_load);
    EQUAL((long)addr, 0x10e);
    EQUAL(g[REG_ERR], 4);
    /* read-modify-write on a read-only page: protection error, memory unchanged */
    skip = 2;
    asm volatile(SET_ALL "mov %0, %%rdi; .globl f_rmw\nf_rmw: incl (%%rdi); nop" : : "m"(ro) : CLOBBERS);
    check_all(0x101);
    EQUAL(g[REG_RIP], (long)f_rmw);
    EQUAL(code, SEGV_ACCERR);
    EQUAL(g[REG_ERR], 7);
    EQUAL((long)addr, (long)ro);
    EQUAL(ro[0], 7);
    /* non-canonical: general protection, no address */
    skip = 3;
    asm volatile(SET_ALL "movabs $0x8000000000000000, %%rdi; .globl f_noncanon\nf_noncanon: mov (%%rdi), %%rax; nop" : : : CLOBBERS);
    EQUAL(g[REG_RIP], (long)f_noncanon);
    EQUAL(g[REG_TRAPNO], 13);
    EQUAL(code, SI_KERNEL);
    EQUAL((long)addr, 0);
    check_all(0x101);
    /* rep movs stops in the middle with rcx, rsi, rdi telling how far it came */
    skip = 2;
    asm volatile(SET_ALL "mov %0, %%rdi; lea 4080(%%rdi), %%rdi; mov %1, %%rsi; mov $64, %%ecx; .globl f_rep\nf_rep: rep movsb; nop"
                 : : "m"(rw), "m"(ro) : CLOBBERS);
    EQUAL(g[REG_RIP], (long)f_rep);
    EQUAL(g[REG_RCX], 48);
    EQUAL(g[REG_RDI], (long)rw + 4096);
    EQUAL(g[REG_RSI], (long)ro + 16);
    EQUAL(rw[4095], 7);
    /* misaligned SSE access: general protection */
    skip = 3;
    asm volatile(SET_ALL "lea -200(%%rsp), %%rdi; and $-16, %%rdi; inc %%rdi; .globl f_sse\nf_sse: movaps (%%rdi), %%xmm1; nop" : : : CLOBBERS, "xmm1");
    EQUAL(g[REG_RIP], (long)f_sse);
    EQUAL(g[REG_TRAPNO], 13);
    check_all(0x101);
    /* push to a bad stack: the stack pointer is still the old one */
    skip = 1;
    on_signal(SIGSEGV, handler, SA_SIGINFO | SA_ONSTACK);
    asm volatile(SET_ALL "mov %%rsp, %%rdi; mov $0x2000, %%esp; .globl f_push\nf_push: push %%rax; mov %%rdi, %%rsp" : : : CLOBBERS);
    on_signal(SIGSEGV, handler, SA_SIGINFO);
    EQUAL(g[REG_RIP], (long)f_push);
    EQUAL(g[REG_RSP], 0x2000);
    EQUAL((long)addr, 0x1ff8);
    check_all(0x101);
  }
  return done();
}
