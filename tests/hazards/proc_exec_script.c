// hazard: execve of scripts: interpreter arguments, relative paths, nested interpreters, env.
// machines: x86-64 aarch64
#include "hazard.h"
static void file(const char *name, const char *text) {
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  (void)!write(fd, text, strlen(text));
  close(fd);
}
static void run(const char *path, char *a0, char *a1) {
  fflush(stdout);
  pid_t p = fork();
  if (!p) {
    execve(path, (char *[]){a0, a1, NULL}, (char *[]){"PATH=/usr/bin:/bin", "V=7", NULL});
    printf("%s\n", strerrorname_np(errno));
    exit(1);
  }
  const char *e = ending(p);
  printf("%s: %s\n", path, e);
}
int main(void) {
  file("plain", "#!/bin/sh\necho \"$0 [$1] $V\"; exit 3\n");
  file("flags", "#! /bin/sh -e -u \nfalse\n");
  file("flag", "#!/bin/sh -e\nfalse\necho no\n");
  file("env", "#!/usr/bin/env sh\necho env \"$@\"\n");
  file("inner", "#!/bin/sh\necho inner \"$@\"; tr a-z A-Z < \"$1\" | tail -n 1\n");
  file("nested", "#!./inner -x\nlast line\n");
  file("noshebang", "echo via the shell only\n");
  file("printargs", "#!/bin/echo one two\n");
  run("./plain", "name", "arg");
  run("plain", "name", "arg");
  run("./flags", "f", "g");
  run("./flag", "f", "g");
  run("./env", "zero", "one");
  run("./nested", "n", "m");
  run("./printargs", "n", "m");
  run("./noshebang", "n", "m");
  fflush(stdout);
  pid_t p = fork();
  if (!p) {
    execlp("./noshebang", "n", "m", NULL);
    exit(1);
  }
  const char *e = ending(p);
  printf("execlp: %s\n", e);
  return done();
}
