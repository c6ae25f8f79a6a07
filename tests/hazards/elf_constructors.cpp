// hazard: constructors, destructors, atexit, ifuncs and thread-local destructors run, in order.
// machines: x86-64 aarch64
#include "hazard.h"
struct Noisy {
  const char *name;
  Noisy(const char *n) : name(n) { printf("make %s\n", n); }
  ~Noisy() { printf("end %s\n", name); }
};
static Noisy a("a"), b("b");
static thread_local Noisy t("thread");
extern "C" int one() { return 1; }
extern "C" int (*choose())() { return one; }
extern "C" int chosen() __attribute__((ifunc("choose")));
__attribute__((constructor)) static void early() { puts("early"); }
__attribute__((destructor)) static void late() { puts("late"); }
int main() {
  atexit([] { puts("atexit"); });
  printf("main %d %s\n", chosen(), t.name);
  return 0;
}
