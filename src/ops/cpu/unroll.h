// STABLELM_UNROLL before a short loop with a constant trip count fully unrolls it, so that the arrays of vectors in it
// stay in registers.
#pragma once

#if defined(__clang__)
#define STABLELM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define STABLELM_UNROLL _Pragma("GCC unroll 32")
#endif
