//! SSE, AVX and AVX-512.
