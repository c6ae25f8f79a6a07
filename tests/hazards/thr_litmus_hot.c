// hazard: what x86 forbids (message passing, coherence, load buffering, independent readers) never shows in hot loops
// Each thread works through arrays of variables in loops long enough to be traced; a pass that moves a load up past another,
// forwards a store of one thread's past a load, or keeps a shared value in a register shows here. Both ends count only what
// no x86 CPU can show, so the output does not depend on how many processors there are.
// machines: x86-64 aarch64
#include "hazard.h"
#include <stdatomic.h>

#define CELLS 4096
#define ROUNDS 60

// Plain accesses on purpose: volatile keeps the compiler's hands off, and costs no fence.
static volatile long x[CELLS], y[CELLS];
static long seen_x[4][CELLS], seen_y[4][CELLS];
static atomic_long begun, ended;
static int kind;

static void meet(atomic_long *at, long until) {
  atomic_fetch_add(at, 1);
  for (long spins = 1; atomic_load(at) < until; spins++)
    if (spins % 256 == 0)
      sched_yield();
}

// Message passing: x before y.
static void write_both(long r) {
  for (int i = 0; i < CELLS; i++) {
    x[i] = r;
    y[i] = r;
  }
}
// Readers in the opposite order.
static void read_both(int me) {
  for (int i = 0; i < CELLS; i++) {
    seen_y[me][i] = y[i];
    seen_x[me][i] = x[i];
  }
}
// The same cell twice.
static void read_twice(int me) {
  for (int i = 0; i < CELLS; i++) {
    seen_y[me][i] = x[i];
    seen_x[me][i] = x[i];
  }
}
// Load buffering: each reads one and then writes the other.
static void load_store(int me, long r) {
  volatile long *from = me ? y : x, *to = me ? x : y;
  for (int i = 0; i < CELLS; i++) {
    seen_x[me][i] = from[i];
    to[i] = r;
  }
}
// Store forwarding: a thread sees its own store at once, and stores of others in one order.
static void store_load(int me, long r) {
  volatile long *mine = me ? y : x, *other = me ? x : y;
  for (int i = 0; i < CELLS; i++) {
    mine[i] = r;
    seen_y[me][i] = mine[i];
    seen_x[me][i] = other[i];
  }
}

// Independent writers, and readers in opposite orders: all see the stores in one order.
static void independent(int me, long r) {
  volatile long *first = me & 1 ? x : y, *second = me & 1 ? y : x;
  long *seen_first = me & 1 ? seen_x[me] : seen_y[me], *seen_second = me & 1 ? seen_y[me] : seen_x[me];
  for (int i = 0; i < CELLS; i++) {
    if (me < 2)
      first[i] = r;
    else {
      seen_first[i] = first[i];
      seen_second[i] = second[i];
    }
  }
}

static void work(int me, long r) {
  switch (kind) {
  case 0:
    me == 0 ? write_both(r) : read_both(me);
    break;
  case 1:
    me == 0 ? write_both(r) : read_twice(me);
    break;
  case 2:
    if (me < 2)
      load_store(me, r);
    break;
  case 3:
    if (me < 2)
      store_load(me, r);
    break;
  case 4:
    independent(me, r);
    break;
  }
}

static void *thread(void *arg) {
  long me = (long)arg;
  for (long r = 1; r <= ROUNDS; r++) {
    meet(&begun, 4 * r);
    work(me, r);
    meet(&ended, 4 * r);
  }
  return NULL;
}

int main(void) {
  for (kind = 0; kind < 5; kind++) {
    pthread_t threads[3];
    long bad = 0;
    memset((void *)x, 0, sizeof x);
    memset((void *)y, 0, sizeof y);
    begun = ended = 0;
    for (long i = 0; i < 3; i++)
      pthread_create(&threads[i], NULL, thread, (void *)(i + 1));
    for (long r = 1; r <= ROUNDS; r++) {
      meet(&begun, 4 * r);
      work(0, r);
      meet(&ended, 4 * r);
      // The others wait for this thread at `begun` now.
      for (int i = 0; i < CELLS; i++)
        switch (kind) {
        case 0: // y new means x new
        case 1: // the second load is not older than the first
          for (int me = 1; me < 4; me++)
            bad += seen_x[me][i] < seen_y[me][i];
          break;
        case 2: // not both from the other's future
          bad += seen_x[0][i] == r && seen_x[1][i] == r;
          break;
        case 3: // its own store
          bad += seen_y[0][i] != r || seen_y[1][i] != r;
          break;
        case 4: // not x before y for one reader and y before x for the other
          bad += seen_x[3][i] == r && seen_y[3][i] != r && seen_y[2][i] == r && seen_x[2][i] != r;
          break;
        }
    }
    for (int i = 0; i < 3; i++)
      pthread_join(threads[i], NULL);
    EQUAL(bad, 0);
  }
  return done();
}
