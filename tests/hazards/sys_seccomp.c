// hazard: seccomp: strict mode, filters that answer with an errno, kill, or trap; also in threads and after fork.
#include "hazard.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
static volatile int trapped;
static void sys_handler(int s, siginfo_t *i, void *u) {
  trapped = i->si_syscall;
  ((ucontext_t *)u)->uc_mcontext.gregs[REG_RAX] = -77;
}
static void filter(int nr, unsigned action) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog prog = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}
static void *in_thread(void *a) { return (void *)(syscall(SYS_getppid) == -1 ? (long)errno : 0l); }
int main(void) {
  for (int kind = 0; kind < 7; kind++) {
    fflush(stdout);
    pid_t p = fork();
    if (!p) {
      void *r;
      pthread_t t;
      switch (kind) {
      case 0:
        filter(SYS_getppid, SECCOMP_RET_ERRNO | EPERM);
        _exit(syscall(SYS_getppid) == -1 && errno == EPERM ? 10 : 1);
      case 1:
        filter(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
        getppid();
        _exit(1);
      case 2:
        on_signal(SIGSYS, sys_handler, SA_SIGINFO);
        filter(SYS_getppid, SECCOMP_RET_TRAP);
        long v = syscall(SYS_getppid);
        _exit(v == -1 && errno == 77 && trapped == SYS_getppid ? 12 : 1);
      case 3:
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        (void)!write(1, "strict\n", 7);
        syscall(SYS_exit, 13);
      case 4:
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        getppid();
        _exit(1);
      case 5:
        filter(SYS_getppid, SECCOMP_RET_ERRNO | ENOLINK);
        pthread_create(&t, NULL, in_thread, NULL);
        pthread_join(t, &r);
        _exit((long)r == ENOLINK ? 15 : 1);
      case 6:
        /* mmap and mprotect refused: the runtime must still be able to translate new code */
        filter(SYS_mprotect, SECCOMP_RET_ERRNO | EACCES);
        filter(SYS_mmap, SECCOMP_RET_ERRNO | EACCES);
        filter(SYS_futex, SECCOMP_RET_KILL_PROCESS);
        if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED || errno != EACCES)
          _exit(1);
        char b[200];
        snprintf(b, sizeof b, "%g %s %d", 1.5, "new code", 7);
        qsort(b, strlen(b), 1, (int (*)(const void *, const void *))strcmp);
        _exit(16);
      }
    }
    printf("%d: %s\n", kind, ending(p));
  }
  return done();
}
