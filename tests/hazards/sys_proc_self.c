// hazard: /proc/self shows the program: exe, cmdline, comm, environ, cwd, and only its own descriptors.
// args: one two
// machines: x86-64 aarch64
#include "hazard.h"
#include <dirent.h>
static void file(const char *path) {
  char b[4096];
  int fd = open(path, O_RDONLY);
  long n = read(fd, b, sizeof b);
  close(fd);
  printf("%s:", path);
  char *p = b;
  while (p < b + n) {
    char *slash = strrchr(p, '/');
    if (strncmp(p, "TMPDIR", 6) && strncmp(p, "HOME", 4))
      printf(" %s", slash && strncmp(p, "PATH", 4) ? slash : p);
    p += strlen(p) + 1;
  }
  printf("\n");
}
static int number(const void *a, const void *b) { return *(int *)a - *(int *)b; }
static void descriptors(const char *dir) {
  int v[100], n = 0;
  DIR *d = opendir(dir);
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
      v[n++] = atoi(e->d_name);
  closedir(d);
  qsort(v, n, sizeof *v, number);
  printf("%s:", dir);
  for (int i = 0; i < n; i++)
    printf(" %d", v[i]);
  printf("\n");
}
int main(int argc, char **argv) {
  char b[PATH_MAX] = {0};
  readlink("/proc/self/exe", b, sizeof b);
  printf("%s\n", strrchr(b, '/'));
  char c[PATH_MAX], r[PATH_MAX];
  realpath(argv[0], r);
  CHECK(!strcmp(b, r));
  snprintf(c, sizeof c, "/proc/%d/exe", getpid());
  memset(b, 0, sizeof b);
  readlink(c, b, sizeof b);
  CHECK(!strcmp(b, r));
  memset(b, 0, sizeof b);
  EQUAL(readlinkat(AT_FDCWD, "/proc/self/exe", b, 5), 5);
  CHECK(!strncmp(b, r, 5) && !b[5]);
  struct stat s1, s2;
  stat("/proc/self/exe", &s1);
  stat(r, &s2);
  CHECK(s1.st_ino == s2.st_ino && s1.st_dev == s2.st_dev);
  int fd = open("/proc/self/exe", O_RDONLY), fd2 = open("/proc/thread-self/exe", O_RDONLY);
  fstat(fd, &s1);
  CHECK(s1.st_ino == s2.st_ino);
  CHECK(fd2 < 0 || (fstat(fd2, &s1), s1.st_ino == s2.st_ino));
  close(fd);
  close(fd2);
  file("/proc/self/cmdline");
  file("/proc/self/comm");
  file("/proc/self/environ");
  snprintf(c, sizeof c, "/proc/%d/cmdline", getpid());
  int f2 = open(c, O_RDONLY);
  long n = read(f2, b, sizeof b);
  close(f2);
  printf("%ld bytes after the name\n", n - (long)strlen(argv[0]));
  descriptors("/proc/self/fd");
  descriptors("/dev/fd");
  memset(b, 0, sizeof b);
  readlink("/proc/self/cwd", b, sizeof b);
  getcwd(c, sizeof c);
  CHECK(!strcmp(b, c));
  return done();
}
