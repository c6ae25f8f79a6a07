// hazard: execve that fails returns the kernel's error and leaves the process as it was.
// machines: x86-64 aarch64
#include "hazard.h"
static void attempt(const char *path) {
  char *argv[] = {(char *)path, NULL};
  errno = 0;
  execve(path, argv, NULL);
  printf("%s: %s\n", path, strerrorname_np(errno));
}
static void file(const char *name, const char *text, size_t n, int mode) {
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  (void)!write(fd, text, n);
  close(fd);
  chmod(name, mode);
}
int main(void) {
  file("empty", "", 0, 0755);
  file("text", "hello\n", 6, 0755);
  file("plain", "#!/bin/sh\n", 10, 0644);
  file("noint", "#!/no/such/interpreter\n", 23, 0755);
  file("elfhead", "\x7f""ELF\2\1\1", 7, 0755);
  file("loop", "#!./loop\n", 9, 0755);
  mkdir("dir", 0755);
  symlink("cycle", "cycle");
  attempt("/no/such/file");
  attempt("dir");
  attempt("empty");
  attempt("text");
  attempt("plain");
  attempt("noint");
  attempt("elfhead");
  attempt("loop");
  attempt("cycle");
  attempt("empty/x");
  attempt("");
  char name[5000];
  memset(name, 'a', sizeof name - 1);
  name[sizeof name - 1] = 0;
  errno = 0;
  execve(name, (char *[]){"a", NULL}, NULL);
  puts(strerrorname_np(errno));
  int fd = open("busy", O_WRONLY | O_CREAT, 0755);
  (void)!write(fd, "#!/bin/true\n", 12);
  attempt("busy");
  return done();
}
