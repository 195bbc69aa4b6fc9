// Products of many rows of x with weights of Q8_0 and Q4_0, whose blocks are 32 columns
// (ops/cpu/matmul_quant_tiled-inl.h).
#include "ops/cpu/matmul_quant_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_quant_tiled_small.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "ops/cpu/matmul_quant_tiled-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

void TiledSmall(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch) {
  WithQuantMultiply(job, [&](auto way) STABLELM_INLINE_LAMBDA {
    WithSmallType(job.w->type(),
                  [&](auto type) STABLELM_INLINE_LAMBDA { TiledOfType<type, way>(job, p_begin, p_end, scratch); });
  });
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(TiledSmall);
}  // namespace

void QuantMatMulTiledSmall(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch) {
  HWY_DYNAMIC_DISPATCH(TiledSmall)(job, p_begin, p_end, scratch);
}

}  // namespace stablelm
#endif  // HWY_ONCE
