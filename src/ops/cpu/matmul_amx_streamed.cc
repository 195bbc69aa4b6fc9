// Products of few rows with weights packed for Compute::kFast, with the bits of AMX tiles (ops/matmul.h), by vectors:
// multiply-adds in a mode that flushes denormals. Tiles take as long from memory as to arrive; vectors read several
// panels at the same time, which a processor with AMX does a third faster.
#include <cstring>

#include "ops/cpu/matmul_amx.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/matmul_amx_streamed.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "base/error.h"
#include "ops/cpu/flush_denormals.h"
#include "ops/cpu/store_row.h"
#include "ops/cpu/stream_prefetch.h"
#include "ops/cpu/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86_64

namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kPanelVectors = kPanelRows / kLanes;
constexpr size_t kStepPairs = kAmxColumns / 2;
constexpr size_t kStepWords = kStepPairs * kPanelRows;

// Adds a step to the sums of MR rows of x, `stride` apart: for each, a chain of its even and one of its odd columns.
template <size_t MR>
HWY_INLINE void AddStep(const float* HWY_RESTRICT x, size_t stride, const uint32_t* HWY_RESTRICT w, bool far,
                        float (*HWY_RESTRICT sums)[kPanelRows]) {
  const DF d;
  const DU du;
  VF even[MR][kPanelVectors], odd[MR][kPanelVectors];
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < kPanelVectors; ++v) even[m][v] = odd[m][v] = hn::Zero(d);
  }
  for (size_t i = 0; i < kStepPairs; ++i, w += kPanelRows) {
    if (far) PrefetchStream<kPanelRows * sizeof(uint32_t)>(reinterpret_cast<const std::byte*>(w));
    STABLELM_UNROLL for (size_t v = 0; v < kPanelVectors; ++v) {
      const auto words = hn::LoadU(du, w + v * kLanes);
      const VF low = hn::BitCast(d, hn::ShiftLeft<16>(words));
      const VF high = hn::BitCast(d, hn::And(words, hn::Set(du, 0xFFFF0000u)));
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
        even[m][v] = hn::MulAdd(hn::Set(d, x[m * stride + 2 * i]), low, even[m][v]);
        odd[m][v] = hn::MulAdd(hn::Set(d, x[m * stride + 2 * i + 1]), high, odd[m][v]);
      }
    }
  }
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t v = 0; v < kPanelVectors; ++v) {
      float* const sum = sums[m] + v * kLanes;
      hn::Store(hn::Add(hn::Load(d, sum), hn::Add(even[m][v], odd[m][v])), d, sum);
    }
  }
}

// The sums of NP panels, a step of each in turn. A call of its own: the compiler ignores modes.
template <size_t MR, size_t NP>
HWY_NOINLINE void SumPanels(const AmxStreamedJob& job, const size_t (&panels)[NP],
                            float (*HWY_RESTRICT sums)[MR][kPanelRows]) {
  const bool far = AsksFar(*job.w);
  const size_t k = job.w->columns(), steps = k / kAmxColumns, stride = AmxXStride(k);
  const uint32_t* w[NP];
  for (size_t p = 0; p < NP; ++p) w[p] = reinterpret_cast<const uint32_t*>(job.w->panel(panels[p]));
  for (size_t step = 0; step < steps; ++step) {
    for (size_t p = 0; p < NP; ++p) {
      AddStep<MR>(job.x + step * kAmxColumns, stride, w[p] + step * kStepWords, far, sums[p]);
    }
  }
  if (const size_t words = (k + 1) / 2 * kPanelRows - steps * kStepWords; words > 0) {
    alignas(64) uint32_t last[kStepWords] = {};
    for (size_t p = 0; p < NP; ++p) {
      std::memcpy(last, w[p] + steps * kStepWords, words * sizeof(uint32_t));
      AddStep<MR>(job.x + steps * kAmxColumns, stride, last, false, sums[p]);
    }
  }
}

void Streamed(const AmxStreamedJob& job, size_t p_begin, size_t p_end) {
  WithStreamedRows(job.rows, [&]<size_t MR>() HWY_ATTR {
    ForStreams<4>(p_begin, p_end, [&]<size_t NP>(const size_t(&panels)[NP]) HWY_ATTR {
      HWY_ALIGN float sums[NP][MR][kPanelRows] = {};
      {
        const FlushDenormals flushing;
        SumPanels<MR>(job, panels, sums);
      }
      for (size_t p = 0; p < NP; ++p) {
        for (size_t m = 0; m < MR; ++m) StoreRow(job.out, m, panels[p], sums[p][m]);
      }
    });
  });
}

#else

void Streamed(const AmxStreamedJob&, size_t, size_t) { STABLELM_CHECK(false); }

#endif

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Streamed);
}  // namespace

void AmxStreamed(const AmxStreamedJob& job, size_t p_begin, size_t p_end) {
  HWY_DYNAMIC_DISPATCH(Streamed)(job, p_begin, p_end);
}

}  // namespace stablelm
#endif  // HWY_ONCE
