// hazard: what the kernel says about the process's threads: their number, names and ids are the program's own.
// machines: x86-64 aarch64
#include "hazard.h"
#include <dirent.h>
static pthread_barrier_t b;
static void *thread(void *a) {
  char name[16];
  sprintf(name, "worker-%ld", (long)a);
  pthread_setname_np(pthread_self(), name);
  pthread_barrier_wait(&b);
  pthread_barrier_wait(&b);
  return NULL;
}
static int by_text(const void *a, const void *b) { return strcmp(a, b); }
static void list(void) {
  char names[32][64];
  int n = 0;
  DIR *d = opendir("/proc/self/task");
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.')
      continue;
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
    FILE *f = fopen(path, "r");
    fgets(names[n++], 64, f);
    fclose(f);
  }
  closedir(d);
  qsort(names, n, 64, by_text);
  printf("%d:\n", n);
  for (int i = 0; i < n; i++)
    printf(" %s", names[i]);
}
int main(void) {
  pthread_t t[4];
  list();
  pthread_barrier_init(&b, NULL, 5);
  for (long i = 0; i < 4; i++)
    pthread_create(&t[i], NULL, thread, (void *)i);
  pthread_barrier_wait(&b);
  list();
  pthread_barrier_wait(&b);
  for (int i = 0; i < 4; i++)
    pthread_join(t[i], NULL);
  EQUAL(getpid(), syscall(SYS_gettid));
  return done();
}
