// hazard: AArch64: programs of both machines and scripts execute each other; arguments, environment, descriptors and status arrive.
// machines: aarch64
#include "hazard.h"
extern char **environ;

static void run(const char *what, const char *path, char **argv) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    execve(path, argv, environ);
    printf("%s: errno %d\n", what, errno);
    fflush(stdout);
    _exit(9);
  }
  printf("%s: %s\n", what, ending(pid));
}

static void script(const char *name, const char *text) {
  int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0755);
  CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    printf("again:");
    for (int k = 1; k < argc; k++)
      printf(" [%s]", strrchr(argv[k], '/') ? strrchr(argv[k], '/') : argv[k]);
    printf(" %s\n", getenv("WORD"));
    fflush(stdout);
    return 5;
  }
  static char self[PATH_MAX], text[PATH_MAX * 2];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  CHECK(n > 0 && strstr(self, "a64_exec"));
  setenv("WORD", "word", 1);
  setenv("LD_BIND_NOW", "1", 1); /* must not work on the translator */
  run("self", self, (char *[]){"name", "one", "", "three", NULL});
  run("proc", "/proc/self/exe", (char *[]){"name", "x", NULL});
  run("other machine", "/bin/sh", (char *[]){"sh", "-c", "echo $0 $WORD $LD_BIND_NOW; exit 3", "zero", NULL});
  run("there and back", "/bin/sh", (char *[]){"sh", "-c", "\"$0\" y; echo $?", self, NULL});
  run("killed", "/bin/sh", (char *[]){"sh", "-c", "kill -9 $$", NULL});
  snprintf(text, sizeof text, "#!%s with blanks\n", self);
  script("here", text);
  run("script", "./here", (char *[]){"x", "z", NULL});
  script("there", "#!/bin/sh\necho script $1\nexit 4\n");
  run("script of the other machine", "./there", (char *[]){"x", "z", NULL});
  run("none", "./missing", (char *[]){"x", NULL});
  script("text", "no program\n");
  run("text", "./text", (char *[]){"x", NULL});
  run("directory", ".", (char *[]){"x", NULL});
  return done();
}
