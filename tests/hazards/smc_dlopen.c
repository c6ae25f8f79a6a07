// hazard: libraries are loaded and unloaded over and over; different code comes to the same address.
// also: liba.so lib_dl.c -shared -fPIC -DANSWER=3
// also: libb.so lib_dl.c -shared -fPIC -DANSWER=5
// libs: -ldl
// machines: x86-64 aarch64
#include "hazard.h"
#include <dlfcn.h>
int main(int argc, char **argv) {
  char dir[PATH_MAX], path[PATH_MAX + 16];
  realpath(argv[0], dir);
  *strrchr(dir, '/') = 0;
  int reused = 0;
  void *before = NULL;
  for (int i = 0; i < 60; i++) {
    snprintf(path, sizeof path, "%s/lib%c.so", dir, "ab"[i & 1]);
    void *h = dlopen(path, RTLD_NOW);
    if (!h) {
      puts(dlerror());
      return 1;
    }
    int (*f)(int) = (int (*)(int))dlsym(h, "answer");
    reused += (void *)f == before;
    before = (void *)f;
    EQUAL(f(1000), (i & 1 ? 5 : 3) * 1001);
    dlclose(h);
  }
  CHECK(reused > 30);
  return done();
}
