// STABLELM_UNROLL before a loop of few rounds, known to the compiler, over arrays of vectors: unrolled in full, so that
// the arrays stay in registers.
#pragma once

#if defined(__clang__)
#define STABLELM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define STABLELM_UNROLL _Pragma("GCC unroll 32")
#endif
