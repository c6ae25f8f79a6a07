// hazard: the environment and arguments are the program's own: nothing added, nothing lost, order kept.
// args: -h --version -- --tier block -O3 --stats
// machines: x86-64 aarch64
#include "hazard.h"
extern char **environ;
int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    printf("[%s]\n", argv[i]);
  for (char **e = environ; *e; e++)
    printf("%s\n", strncmp(*e, "HOME", 4) && strncmp(*e, "TMPDIR", 6) ? *e : strtok(*e, "="));
  puts(strrchr(program_invocation_name, '/'));
  return done();
}
