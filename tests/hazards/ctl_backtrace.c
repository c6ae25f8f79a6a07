// hazard: backtrace() and _Unwind_Backtrace through deep frames, callbacks and a signal frame name the same functions.
// flags: -O1 -rdynamic -fno-omit-frame-pointer -fno-optimize-sibling-calls
#include "hazard.h"
#include <execinfo.h>
#include <unwind.h>
#include <dlfcn.h>
static int show;
static _Unwind_Reason_Code count_frame(struct _Unwind_Context *c, void *n) {
  ++*(int *)n;
  return _URC_NO_REASON;
}
__attribute__((noinline)) void leaf(void) {
  void *a[200];
  int n = backtrace(a, 200), m = 0;
  _Unwind_Backtrace(count_frame, &m);
  if (!show)
    return;
  char **s = backtrace_symbols(a, n);
  printf("%d frames, unwinder %d\n", n, m);
  for (int i = 0; i < n; i++) {
    char *open = strchr(s[i], '('), *close = open ? strchr(open, ')') : NULL;
    char *file = strrchr(s[i], '/');
    if (n > 60 && i > 3 && i < n - 3)
      continue;
    if (strstr(s[i], "libc"))
      printf(" libc\n");
    else
      printf(" %.*s\n", close ? (int)(close - open + 1) : 40, open ? open : s[i]);
  }
  free(s);
}
__attribute__((noinline)) int recurse(int n) {
  if (n == 0)
    leaf();
  else
    recurse(n - 1);
  return n + 1;
}
__attribute__((noinline)) int compare(const void *a, const void *b) {
  static int once;
  if (show && !once++)
    recurse(2);
  return *(const int *)a - *(const int *)b;
}
__attribute__((noinline)) void handler(int s) { recurse(1); }
int main(void) {
  int v[8] = {3, 1, 2, 9, 4, 7, 5, 6};
  for (int i = 0; i < 300; i++)
    recurse(i % 30);
  show = 1;
  recurse(3);
  recurse(100);
  qsort(v, 8, sizeof *v, compare);
  on_signal(SIGUSR1, handler, 0);
  raise(SIGUSR1);
  on_signal(SIGSEGV, handler, SA_RESETHAND);
  return done();
}
