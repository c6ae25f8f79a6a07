// hazard: restartable sequences are either refused or honoured; the C library works without them.
// machines: x86-64 aarch64
#include "hazard.h"
int main(void) {
  static char area[64] __attribute__((aligned(32)));
  long r = syscall(SYS_rseq, area, 32, 0, 0x53053053);
  CHECK(r == 0 || (r == -1 && (errno == ENOSYS || errno == EPERM || errno == EINVAL || errno == EBUSY)));
  CHECK(sched_getcpu() >= 0);
  return done();
}
