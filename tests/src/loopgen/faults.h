/* Arrays lie across the ends of pages, some of which are protected before each call of a kernel. The handler takes the whole
 * context into a hash before it gives access back: every fault must show the state of the one instruction that faulted.
 *
 * What registers hold must not vary from run to run: the program has a fixed address, kernels run on a stack with a fixed
 * address, and `clean` and `begin` clear what the C library left in registers. */

static int armed;
static u64 context_hash = 1, choice = 0x9e3779b97f4a7c15ull;

void clean(void), begin(void), body(void);
__asm__(".text\nclean:\n\txor %eax, %eax\n\txor %ecx, %ecx\n\txor %edx, %edx\n\txor %esi, %esi\n\txor %edi, %edi\n"
        "\txor %r8d, %r8d\n\txor %r9d, %r9d\n\txor %r10d, %r10d\n\txor %r11d, %r11d\n\tvzeroall\n\tret\n"
        "begin:\n\txor %ebx, %ebx\n\txor %ebp, %ebp\n\txor %r12d, %r12d\n\txor %r13d, %r13d\n\txor %r14d, %r14d\n"
        "\txor %r15d, %r15d\n\tjmp body\n");

static void take(u64 x) {
    context_hash = (context_hash ^ x) * 0x100000001b3ull;
    context_hash ^= context_hash >> 29;
}

static void on_protected(int signal, siginfo_t *info, void *context) {
    const mcontext_t *c = &((ucontext_t *)context)->uc_mcontext;
    const u64 *header = (const u64 *)((const char *)c->fpregs + 512), *upper = header + 8;
    u64 at = (u64)info->si_addr;
    /* General registers and pc. */
    for (int i = 0; i <= REG_RIP; i++) take(c->gregs[i]);
    take(at);
    for (int i = 0; i < 64; i++) take(((const u32 *)c->fpregs->_xmm)[i]);
    for (int i = 0; i < 32; i++) take(header[0] & 4 ? upper[i] : 0);
    if (mprotect((void *)(at & -4096), 4096, PROT_READ | PROT_WRITE)) _exit(9);
}

static void arm(void) {
    for (int i = 0; armed && i < 3; i++) {
        choice ^= choice << 13;
        choice ^= choice >> 7;
        choice ^= choice << 17;
        char *page = (char *)places[choice % (sizeof places / sizeof places[0])] + (choice >> 20 & 1) * 4096;
        mprotect(page, 4096, choice >> 30 & 1 ? PROT_NONE : PROT_READ);
    }
    clean();
}

static void protected(void) {
    struct sigaction action = { .sa_sigaction = on_protected, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    static char stack[1 << 18];
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    sigaltstack(&alternate, 0);
    sigaction(SIGSEGV, &action, 0);
    armed = 1;
}

int main(void) {
    static ucontext_t here, there;
    size_t size = 1 << 20;
    getcontext(&there);
    there.uc_stack.ss_sp = mmap((void *)0x20000000, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    there.uc_stack.ss_size = size;
    there.uc_link = &here;
    makecontext(&there, begin, 0);
    return swapcontext(&here, &there);
}
