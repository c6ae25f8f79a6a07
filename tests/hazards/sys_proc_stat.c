// hazard: /proc/self/stat and status name the program and its stack, code and arguments.
// args: one two
// machines: x86-64 aarch64
#include "hazard.h"
int main(int argc, char **argv) {
  char line[2000], *p;
  FILE *f = fopen("/proc/self/stat", "r");
  fgets(line, sizeof line, f);
  fclose(f);
  p = strrchr(line, ')');
  *p = 0;
  printf("%s\n", strchr(line, '('));
  unsigned long v[60] = {0};
  int n = 3;
  for (char *t = strtok(p + 4, " "); t; t = strtok(NULL, " "))
    v[++n] = strtoul(t, NULL, 10);
  unsigned long sp = v[28], arg_start = v[48], arg_end = v[49], env_start = v[50], code = v[26], code_end = v[27];
  printf("threads %lu\n", v[20]);
  CHECK(arg_start == (unsigned long)argv[0]);
  CHECK(arg_end == (unsigned long)argv[2] + 4);
  CHECK(env_start == arg_end);
  CHECK(sp > (unsigned long)&argc - (1 << 20) && sp < (unsigned long)argv[0]);
  CHECK(code <= (unsigned long)main && (unsigned long)main < code_end);
  f = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, f))
    if (!strncmp(line, "Name", 4) || !strncmp(line, "State", 5) || !strncmp(line, "TracerPid", 9) || !strncmp(line, "Seccomp:", 8) ||
        !strncmp(line, "NoNewPrivs", 10))
      fputs(line, stdout);
  return done();
}
