// hazard: C++ exceptions through many frames, with destructors, rethrow, in hot loops and in threads.
// flags: -O2
// machines: x86-64 aarch64
#include "hazard.h"
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
static long *destroyed;
struct Guard {
  long n;
  ~Guard() { __atomic_fetch_add(destroyed, n, __ATOMIC_RELAXED); }
};
static __attribute__((noinline)) int deep(int n, int kind) {
  Guard g{1};
  if (n == 0) {
    if (kind == 0)
      throw std::runtime_error("runtime");
    if (kind == 1)
      throw 42;
    throw std::string("text");
  }
  return deep(n - 1, kind) + (int)g.n;
}
static __attribute__((noinline)) int middle(int n, int kind) {
  try {
    return deep(n, kind);
  } catch (int) {
    throw;
  } catch (std::runtime_error &e) {
    throw std::logic_error(std::string(e.what()) + "!");
  }
}
static long work(int rounds) {
  long sum = 0;
  for (int i = 0; i < rounds; i++) {
    try {
      middle(i % 60, i % 3);
    } catch (std::logic_error &e) {
      sum += e.what()[7];
    } catch (int v) {
      sum += v;
    } catch (std::string &s) {
      sum += (long)s.size();
    }
  }
  return sum;
}
int main() {
  long counter = 0;
  destroyed = &counter;
  long sum = work(1500);
  printf("%ld %ld\n", sum, counter);
  long want = work(300);
  std::vector<std::thread> threads;
  long results[4];
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&results, i] { results[i] = work(300); });
  for (auto &t : threads)
    t.join();
  for (long r : results)
    EQUAL(r, want);
  try {
    std::vector<int>(3).at(7);
  } catch (std::out_of_range &e) {
    puts(e.what());
  }
  return done();
}
