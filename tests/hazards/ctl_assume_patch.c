// hazard: code of a hot loop is patched between and during its runs, through the same and through another address.
#include "hazard.h"
typedef long (*code)(long n, long *log);
/* for (rcx = 0; rcx != rdi; rcx++) rax += IMM; calls the address in rdx each 1024 rounds */
static const unsigned char text[] = {
    0x53,                               /* push rbx */
    0x48, 0x89, 0xfb,                   /* mov rbx, rdi */
    0x31, 0xc0,                         /* xor eax, eax */
    0x48, 0x05, 0x01, 0x00, 0x00, 0x00, /* add rax, 1      (the constant at 8) */
    0x48, 0x89, 0x06,                   /* mov [rsi], rax */
    0x48, 0xff, 0xcb,                   /* dec rbx */
    0x75, 0xf2,                         /* jne add */
    0x5b, 0xc3};
static void patch(unsigned char *at, int value) {
  CHECK(mprotect(at, 4096, PROT_READ | PROT_WRITE) == 0);
  memcpy(at + 8, &value, 4);
  CHECK(mprotect(at, 4096, PROT_READ | PROT_EXEC) == 0);
}
static unsigned char *volatile target;
static int later;
static void on_alarm(int s) { patch(target, later); }
int main(void) {
  unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  long out;
  memcpy(p, text, sizeof text);
  CHECK(mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0);
  for (int value = 1; value < 12; value++) {
    patch(p, value);
    EQUAL(((code)p)(100000, &out), 100000L * value);
    EQUAL(out, 100000L * value);
  }
  /* While it runs: an alarm patches it from 1 to 2 (the loop ends by itself after some seconds at most). */
  patch(p, 1);
  target = p;
  later = 2;
  on_signal(SIGALRM, on_alarm, 0);
  alarm_ms(20);
  long n = 400000000, sum = ((code)p)(n, &out);
  CHECK(sum > n && sum <= 2 * n);
  EQUAL(out, sum);
  /* Through a second mapping of the same memory. */
  int fd = memfd_create("code", 0);
  CHECK(ftruncate(fd, 4096) == 0);
  unsigned char *w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char *x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  memcpy(w, text, sizeof text);
  for (int value = 1; value < 6; value++) {
    memcpy(w + 8, &value, 4);
    EQUAL(((code)x)(100000, &out), 100000L * value);
  }
  return done();
}
