// hazard: execve with other arguments and environment, relative paths, fexecve, execveat; argv[0] may be anything.
// args: start
// machines: x86-64 aarch64
#include "hazard.h"
extern char **environ;
static char self[PATH_MAX];
static int show(int argc, char **argv) {
  printf("argc %d", argc);
  for (int i = 0; i < argc; i++)
    printf(" [%s]", argv[i]);
  for (char **e = environ; *e; e++)
    printf(" {%s}", *e);
  char exe[PATH_MAX] = {0};
  readlink("/proc/self/exe", exe, sizeof exe - 1);
  FILE *f = fopen("/proc/self/cmdline", "r");
  char line[300];
  size_t n = fread(line, 1, sizeof line, f);
  fclose(f);
  f = fopen("/proc/self/comm", "r");
  char comm[64] = {0};
  fgets(comm, sizeof comm, f);
  printf(" exe %s cmdline %zu comm %s", strrchr(exe, '/'), n, comm);
  return 0;
}
int main(int argc, char **argv) {
  if (argc != 2 || strcmp(argv[1], "start"))
    return show(argc, argv);
  realpath(argv[0], self);
  char *e1[] = {"A=1", "B=two words", NULL}, *none[] = {NULL};
  for (int i = 0; i < 9; i++) {
    fflush(stdout);
    pid_t p = fork();
    if (!p) {
      char *a0[] = {"other name", "x", "", "--tier", "-h", NULL}, *a1[] = {"--", "--", NULL};
      switch (i) {
      case 0: execve(self, a0, e1); break;
      case 1: execve(self, a1, none); break;
      case 2: *strrchr(self, '/') = 0; chdir(self); execve("./proc_exec", a1, e1); break;
      case 3: *strrchr(self, '/') = 0; chdir(self); execve("proc_exec", a1, e1); break;
      case 4: fexecve(open(self, O_RDONLY | O_CLOEXEC), a1, e1); break;
      case 5: *strrchr(self, '/') = 0; syscall(SYS_execveat, open(self, O_PATH | O_DIRECTORY), "proc_exec", a1, e1, 0); break;
      case 6: symlink(self, "link-to-it"); execve("link-to-it", a1, e1); break;
      case 7: execve(self, NULL, NULL); break;
      case 8: {
        char **many = calloc(3001, sizeof *many);
        for (int k = 0; k < 3000; k++)
          many[k] = k ? "argument" : "many";
        int fd = open("/dev/null", O_WRONLY);
        many[3000] = NULL;
        execve("/bin/echo", many, none);
      }
      }
      _exit(100);
    }
    const char *e = ending(p);
    printf("%d: %s\n", i, e);
  }
  return done();
}
