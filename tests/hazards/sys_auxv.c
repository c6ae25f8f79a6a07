// hazard: the initial stack: argc, argv, envp, auxv complete and consistent with /proc/self/auxv, rsp aligned.
// flags: -O1
// args: x y
#include "hazard.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
extern char **environ;
int main(int argc, char **argv) {
  CHECK(((uintptr_t)(argv - 1) & 15) == 0);
  EQUAL(((long *)argv)[-1], argc);
  CHECK(argv + argc + 1 == environ);
  char **e = environ;
  while (*e)
    e++;
  ElfW(auxv_t) *a = (void *)(e + 1);
  unsigned long types = 0;
  int n = 0;
  for (; a[n].a_type; n++) {
    if (a[n].a_type < 64 && a[n].a_type != 27 && a[n].a_type != 28) /* those announce rseq, which may be refused */
      printf(" %lu", a[n].a_type);
    if (a[n].a_type != AT_HWCAP) /* glibc keeps a word of its own there */
      EQUAL(getauxval(a[n].a_type), a[n].a_un.a_val);
  }
  printf("\n");
  char b[2048];
  int fd = open("/proc/self/auxv", O_RDONLY);
  long got = read(fd, b, sizeof b);
  EQUAL(got, (n + 1) * 16);
  CHECK(!memcmp(b, a, got));
  extern const char __executable_start[];
  extern char _start[];
  CHECK(getauxval(AT_ENTRY) == (unsigned long)_start);
  CHECK(getauxval(AT_PHDR) == (unsigned long)__executable_start + 64);
  CHECK(getauxval(AT_SYSINFO_EHDR) && !memcmp((void *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4));
  CHECK(!memcmp((void *)getauxval(AT_BASE), "\177ELF", 4));
  printf("%lu %lu %lu %s\n", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK), getauxval(AT_SECURE), (char *)getauxval(AT_PLATFORM));
  printf("%lx %lx\n", getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
  CHECK(!strcmp((char *)getauxval(AT_EXECFN), argv[0]));
  CHECK((char *)getauxval(AT_EXECFN) > argv[argc - 1]);
  CHECK(argv[1] == argv[0] + strlen(argv[0]) + 1);
  unsigned char *r = (void *)getauxval(AT_RANDOM);
  int zero = 0;
  for (int i = 0; i < 16; i++)
    zero += !r[i];
  CHECK(zero < 8);
  EQUAL(getauxval(AT_UID), getuid());
  return done();
}
