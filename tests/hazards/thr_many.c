// hazard: 64 threads compute in the same code at once, each with its own state.
// machines: x86-64 aarch64
#include "hazard.h"
static uint64_t work(uint64_t seed) {
  uint64_t h = seed;
  double d = (double)seed;
  for (int i = 0; i < 60000; i++) {
    h = h * 6364136223846793005ull + 1442695040888963407ull;
    d = d * 0.999 + (double)(h >> 60);
    if (h & 0x800)
      h ^= (uint64_t)d;
  }
  return h;
}
static uint64_t results[64];
static void *thread(void *a) {
  results[(long)a] = work((long)a % 4 + 1);
  return (void *)((long)a * 3);
}
int main(void) {
  pthread_t t[64];
  for (long i = 0; i < 64; i++)
    CHECK(pthread_create(&t[i], NULL, thread, (void *)i) == 0);
  for (long i = 0; i < 64; i++) {
    void *r;
    pthread_join(t[i], &r);
    EQUAL((long)r, i * 3);
  }
  for (int i = 0; i < 64; i++)
    CHECK(results[i] == work(i % 4 + 1));
  printf("%llx\n", (unsigned long long)results[3]);
  return done();
}
