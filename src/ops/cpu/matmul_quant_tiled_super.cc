// Products of many rows of x with weights of Q4_K, Q5_K and Q6_K, whose blocks are 256 columns
// (ops/cpu/matmul_quant_tiled-inl.h).
#include "ops/cpu/matmul_quant_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_quant_tiled_super.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "ops/cpu/matmul_quant_tiled-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

void TiledSuper(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch) {
  WithQuantMultiply(job, [&](auto way) STABLELM_INLINE_LAMBDA {
    WithSuperType(job.w->type(),
                  [&](auto type) STABLELM_INLINE_LAMBDA { TiledOfType<type, way>(job, p_begin, p_end, scratch); });
  });
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(TiledSuper);
}  // namespace

void QuantMatMulTiledSuper(const QuantJob& job, size_t p_begin, size_t p_end, float* scratch) {
  HWY_DYNAMIC_DISPATCH(TiledSuper)(job, p_begin, p_end, scratch);
}

}  // namespace stablelm
#endif  // HWY_ONCE
