// hazard: coroutines by swapcontext and by a hand-written stack switch: returns go to other stacks.
#include "hazard.h"
static ucontext_t main_ctx, co[8];
static long log_sum;
static void body(int id) {
  for (int i = 0; i < 300; i++) {
    log_sum = log_sum * 31 + id * 1000 + i;
    swapcontext(&co[id], &main_ctx);
  }
}
/* switch_to(save, load): callee-saved registers on the stack, as small coroutine libraries do */
void switch_to(void **save, void *load);
asm(".globl switch_to\nswitch_to: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp, (%rdi)\n mov %rsi, %rsp\n pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n ret");
static void *sp_main, *sp_co[4];
static int current;
static long ticks;
static void fiber(void) {
  for (long i = 0;; i++) {
    ticks += i ^ current;
    switch_to(&sp_co[current], sp_main);
  }
}
int main(void) {
  for (int i = 0; i < 8; i++) {
    getcontext(&co[i]);
    co[i].uc_stack.ss_sp = malloc(65536);
    co[i].uc_stack.ss_size = 65536;
    co[i].uc_link = &main_ctx;
    makecontext(&co[i], (void (*)(void))body, 1, i);
  }
  for (int i = 0; i < 300; i++)
    for (int k = 0; k < 8; k++)
      swapcontext(&main_ctx, &co[k]);
  printf("%lx\n", log_sum);
  for (int i = 0; i < 4; i++) {
    void **top = (void **)((char *)malloc(65536) + 65536 - 16);
    *--top = 0;
    *--top = (void *)fiber;
    top -= 6;
    memset(top, 0, 48);
    sp_co[i] = top;
  }
  for (int i = 0; i < 200000; i++) {
    current = i & 3;
    switch_to(&sp_main, sp_co[current]);
  }
  printf("%ld\n", ticks);
  return done();
}
