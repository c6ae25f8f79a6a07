// hazard: posix_spawn, system and popen: statuses, missing programs, file actions.
// machines: x86-64 aarch64
#include "hazard.h"
#include <spawn.h>
extern char **environ;
int main(void) {
  pid_t p;
  char *ok[] = {"true", NULL}, *bad[] = {"nothing", NULL}, *sh[] = {"sh", "-c", "echo from the child; exit 6", NULL};
  printf("%d\n", posix_spawn(&p, "/bin/true", NULL, NULL, ok, environ));
  printf("%s\n", ending(p));
  printf("%s\n", strerrorname_np(posix_spawn(&p, "/bin/nothing-here", NULL, NULL, bad, environ)));
  printf("%s\n", strerrorname_np(posix_spawnp(&p, "nothing-here", NULL, NULL, bad, environ)));
  printf("%s\n", strerrorname_np(posix_spawn(&p, "/etc/passwd", NULL, NULL, bad, environ)));
  posix_spawn_file_actions_t fa;
  posix_spawn_file_actions_init(&fa);
  posix_spawn_file_actions_addopen(&fa, 1, "out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  printf("%d\n", posix_spawnp(&p, "sh", &fa, NULL, sh, environ));
  printf("%s\n", ending(p));
  char b[100] = {0};
  int fd = open("out.txt", O_RDONLY);
  read(fd, b, 99);
  printf("%s", b);
  fflush(stdout);
  printf("system %#x\n", system("exit 5"));
  printf("system %#x\n", system("kill -9 $$"));
  printf("system %#x\n", system("no-such-command 2>/dev/null"));
  printf("system %d\n", system(NULL));
  FILE *f = popen("echo a; echo b; exit 4", "r");
  while (fgets(b, sizeof b, f))
    printf("popen %s", b);
  printf("pclose %#x\n", pclose(f));
  fflush(stdout);
  f = popen("cat", "w");
  fprintf(f, "to the child\n");
  printf("pclose %#x\n", pclose(f));
  return done();
}
