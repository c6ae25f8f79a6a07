// verify: fork, pipes and waiting.
// flags: -O1 -static
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  int ends[2], status, got = 0; pipe(ends);
  for (int i = 0; i < 2; i++) {
    pid_t child = fork();
    if (child == 0) { write(ends[1], &i, sizeof i); _exit(40 + i); }
    read(ends[0], &got, sizeof got);
    waitpid(child, &status, 0);
    printf("%d %d\n", got, WEXITSTATUS(status));
  }
}
