// hazard: AArch64: floating point is bit-exact: NaN payloads, denormals, conversions, and 128-bit arithmetic by functions.
// flags: -O2 -fno-fast-math
// libs: -lm
// machines: aarch64
#include "cpu_float_exact.c"
