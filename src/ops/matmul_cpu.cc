// Products of packed fp32 rows with stored weights. Two bodies with the same chains (ops/matmul.h says which):
//
// Streamed (M <= 4): several weight rows side by side, far apart in memory, so that several hardware streams are busy;
// the weights are widened in registers and prefetched a little ahead. Measured: one stream per thread does not reach
// the memory's bandwidth.
//
// Tiled: a tile of NR weight rows, cut to a chunk of K, is widened into a buffer that stays in the first cache level; a
// register tile of MR x NR vector accumulators then runs over the chunk for every group of MR rows. Accumulators are
// kept as whole vectors in memory between chunks, so cutting K does not change the chains.
#include "ops/matmul_cpu.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matmul_cpu.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "base/error.h"
#include "ops/lane_sums-inl.h"
#include "ops/load_float-inl.h"
#include "ops/workspace.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

#if HWY_COMPILER_CLANG
#define STABLELM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define STABLELM_UNROLL _Pragma("GCC unroll 16")
#endif

// 32 vector registers hold 24 accumulators, 6 weights and a row element; 16 hold 12, 3 (or 4) and one.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr size_t kTileRows = 4, kTileWidth = 6;
#else
constexpr size_t kTileRows = 3, kTileWidth = 4;
#endif
static_assert(kTileColumns % kTileWidth == 0);

// Rows per pass of the tiled body: its accumulators between chunks fill a part of the second cache level.
constexpr size_t kBlockRows = 128 / kTileRows * kTileRows;
static_assert(kBlockRows * kTileColumns * 16 + kTileWidth * kMatMulStride <= Workspace::kWorkerFloats);

inline size_t ChunkWidth(size_t k, size_t k0) {
  const size_t left = (k - k0 + kMatMulPadding - 1) / kMatMulPadding * kMatMulPadding;
  return std::min(left, kMatMulChunk);
}

// ------------------------------------------------------------------------------------------------ streamed

constexpr size_t kPrefetchBytes = 1536;

// MR packed rows with NR weight rows: the dot products of whole rows.
template <typename T, size_t MR, size_t NR>
HWY_INLINE void StreamedTile(const PackedRows& x, const std::byte* const (&w)[NR], float (&sums)[MR][NR]) {
  const DF d;
  constexpr size_t kLanes = hn::MaxLanes(DF());
  constexpr size_t kStepBytes = kLanes * sizeof(T);
  constexpr size_t kSteps = kStepBytes >= 64 ? 1 : 64 / kStepBytes;  // vectors per cache line
  VF acc[MR][NR];
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t n = 0; n < NR; ++n) acc[m][n] = hn::Zero(d);
  }
  for (size_t k0 = 0; k0 < x.k; k0 += kMatMulChunk) {
    const float* HWY_RESTRICT rows = x.Piece(0, k0);
    const size_t stored = std::min(kMatMulChunk, x.k - k0);  // elements that the weights really have here
    size_t i = 0;
    for (; i + kSteps * kLanes <= stored; i += kSteps * kLanes) {
      STABLELM_UNROLL for (size_t n = 0; n < NR; ++n) hwy::Prefetch(w[n] + (k0 + i) * sizeof(T) + kPrefetchBytes);
      STABLELM_UNROLL for (size_t s = 0; s < kSteps; ++s) {
        const size_t at = i + s * kLanes;
        VF wv[NR];
        STABLELM_UNROLL for (size_t n = 0; n < NR; ++n) wv[n] = LoadFloats<T>(d, w[n] + (k0 + at) * sizeof(T));
        STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
          const VF xv = hn::Load(d, rows + m * kMatMulStride + at);
          STABLELM_UNROLL for (size_t n = 0; n < NR; ++n) acc[m][n] = hn::MulAdd(xv, wv[n], acc[m][n]);
        }
      }
    }
    for (; i < stored; i += kLanes) {
      VF wv[NR];
      for (size_t n = 0; n < NR; ++n) {
        const std::byte* from = w[n] + (k0 + i) * sizeof(T);
        if (i + kLanes <= stored) {
          wv[n] = LoadFloats<T>(d, from);
        } else {  // never reads past the row's end
          HWY_ALIGN std::byte tail[kStepBytes] = {};
          std::memcpy(tail, from, (stored - i) * sizeof(T));
          wv[n] = LoadFloats<T>(d, tail);
        }
      }
      for (size_t m = 0; m < MR; ++m) {
        const VF xv = hn::Load(d, rows + m * kMatMulStride + i);
        for (size_t n = 0; n < NR; ++n) acc[m][n] = hn::MulAdd(xv, wv[n], acc[m][n]);
      }
    }
  }
  for (size_t m = 0; m < MR; ++m) {
    for (size_t n = 0; n < NR; ++n) sums[m][n] = hn::GetLane(hn::SumOfLanes(d, acc[m][n]));
  }
}

template <typename T, size_t MR, size_t NR>
void StreamedColumns(const MatMulJob& job, size_t n_begin, size_t n_end) {
  const size_t row_bytes = job.x.k * sizeof(T);
  const auto store = [&](size_t m, size_t n, float sum)
                         HWY_ATTR { job.y[m * job.n_out + n] = job.bias ? sum + job.bias[n] : sum; };
  const size_t per_stream = (n_end - n_begin) / NR;
  for (size_t i = 0; i < per_stream; ++i) {
    const std::byte* w[NR];
    for (size_t s = 0; s < NR; ++s) w[s] = job.w + (n_begin + s * per_stream + i) * row_bytes;
    float sums[MR][NR];
    StreamedTile<T, MR, NR>(job.x, w, sums);
    for (size_t m = 0; m < MR; ++m) {
      for (size_t s = 0; s < NR; ++s) store(m, n_begin + s * per_stream + i, sums[m][s]);
    }
  }
  for (size_t n = n_begin + NR * per_stream; n < n_end; ++n) {
    const std::byte* w[1] = {job.w + n * row_bytes};
    float sums[MR][1];
    StreamedTile<T, MR, 1>(job.x, w, sums);
    for (size_t m = 0; m < MR; ++m) store(m, n, sums[m][0]);
  }
}

template <typename T>
void StreamedOfType(const MatMulJob& job, size_t n_begin, size_t n_end) {
  switch (job.x.rows) {
    case 1:
      return StreamedColumns<T, 1, 4>(job, n_begin, n_end);
    case 2:
      return StreamedColumns<T, 2, 4>(job, n_begin, n_end);
    case 3:
      return StreamedColumns < T, 3, kTileRows >= 4 ? 4 : 2 > (job, n_begin, n_end);
    case 4:
      return StreamedColumns < T, 4, kTileRows >= 4 ? 4 : 2 > (job, n_begin, n_end);
    default:
      STABLELM_CHECK(false);
  }
}

void Streamed(const MatMulJob& job, size_t n_begin, size_t n_end) {
  switch (job.w_type) {
    case DType::kF32:
      return StreamedOfType<float>(job, n_begin, n_end);
    case DType::kF16:
      return StreamedOfType<F16>(job, n_begin, n_end);
    case DType::kBF16:
      return StreamedOfType<BF16>(job, n_begin, n_end);
    default:
      STABLELM_CHECK(false);
  }
}

// --------------------------------------------------------------------------------------------------- tiled

// MR rows of x and NR rows of w over `width` elements of one chunk. `acc` has a whole vector for each pair of them, a
// row of x kTileColumns vectors further than the one before. With `stored`, the
// weights come from there as T, `stored_stride` bytes from row to row, and are left in w for the next groups of rows.
template <typename T, size_t MR, size_t NR>
HWY_INLINE void TileChunk(const float* HWY_RESTRICT x, const std::byte* HWY_RESTRICT stored, size_t stored_stride,
                          float* HWY_RESTRICT w, size_t width, bool first, float* HWY_RESTRICT acc_memory) {
  const DF d;
  constexpr size_t kLanes = hn::MaxLanes(DF());
  VF acc[MR][NR];
  if (first) {
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      STABLELM_UNROLL for (size_t n = 0; n < NR; ++n) acc[m][n] = hn::Zero(d);
    }
  } else {
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      STABLELM_UNROLL for (size_t n = 0; n < NR; ++n) acc[m][n] =
          hn::Load(d, acc_memory + (m * kTileColumns + n) * kLanes);
    }
  }
  for (size_t i = 0; i < width; i += kLanes) {
    VF wv[NR];
    STABLELM_UNROLL for (size_t n = 0; n < NR; ++n) {
      if constexpr (std::is_void_v<T>) {
        wv[n] = hn::Load(d, w + n * kMatMulStride + i);
      } else {
        wv[n] = LoadFloats<T>(d, stored + n * stored_stride + i * sizeof(T));
        hn::Store(wv[n], d, w + n * kMatMulStride + i);
      }
    }
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      const VF xv = hn::Load(d, x + m * kMatMulStride + i);
      STABLELM_UNROLL for (size_t n = 0; n < NR; ++n) acc[m][n] = hn::MulAdd(xv, wv[n], acc[m][n]);
    }
  }
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    STABLELM_UNROLL for (size_t n = 0; n < NR; ++n)
        hn::Store(acc[m][n], d, acc_memory + (m * kTileColumns + n) * kLanes);
  }
}

HWY_NOINLINE void TileChunkOfRows(size_t rows, const float* x, float* w, size_t width, bool first, float* acc) {
  switch (rows) {
    case 1:
      return TileChunk<void, 1, kTileWidth>(x, nullptr, 0, w, width, first, acc);
    case 2:
      return TileChunk<void, 2, kTileWidth>(x, nullptr, 0, w, width, first, acc);
    case 3:
      return TileChunk<void, 3, kTileWidth>(x, nullptr, 0, w, width, first, acc);
    default:
      return TileChunk<void, kTileRows, kTileWidth>(x, nullptr, 0, w, width, first, acc);
  }
}

// Widens `stored` weights of one row into `out`, zeros up to `width`.
template <typename T>
HWY_INLINE void WidenRow(const std::byte* HWY_RESTRICT in, size_t stored, size_t width, float* HWY_RESTRICT out) {
  const DF d;
  constexpr size_t kLanes = hn::MaxLanes(DF());
  size_t i = 0;
  for (; i + kLanes <= stored; i += kLanes) hn::Store(LoadFloats<T>(d, in + i * sizeof(T)), d, out + i);
  if (i < stored) {
    HWY_ALIGN std::byte tail[kLanes * sizeof(T)] = {};
    std::memcpy(tail, in + i * sizeof(T), (stored - i) * sizeof(T));
    hn::Store(LoadFloats<T>(d, tail), d, out + i);
    i += kLanes;
  }
  for (; i < width; i += kLanes) hn::Store(hn::Zero(d), d, out + i);
}

// Asks for one column's piece of the weights before it is widened: `column` of the next chunk, or of the first chunk of
// the next block of columns. Into the second cache level: the first one is busy.
template <typename T>
HWY_INLINE void FetchAhead(const MatMulJob& job, size_t n_end, size_t n, size_t k0) {
  if (n >= n_end) return;
  const std::byte* const from = job.w + (n * job.x.k + k0) * sizeof(T);
  const size_t bytes = std::min(kMatMulChunk, job.x.k - k0) * sizeof(T);
  for (size_t b = 0; b < bytes; b += 64) __builtin_prefetch(from + b, 0, 2);
}

// Sums the accumulators of `columns` columns from n_begin on and stores them in row m of y.
inline void StoreSums(const MatMulJob& job, size_t m, size_t n_begin, size_t columns, const float* HWY_RESTRICT acc) {
  const DF d;
  constexpr size_t kLanes = hn::MaxLanes(DF());
  constexpr size_t kRest = kTileColumns % kLanes == 0 ? kLanes : kTileColumns % kLanes;
  float* const y = job.y + m * job.n_out + n_begin;
  const float* const bias = job.bias ? job.bias + n_begin : nullptr;
  for (size_t c0 = 0; c0 < columns; c0 += kLanes) {
    const size_t left = columns - c0;
    const auto column = [&](size_t j) HWY_ATTR { return hn::Load(d, acc + std::min(c0 + j, columns - 1) * kLanes); };
    const VF sums = left <= kRest ? SumsOfLanes<kRest>(d, column) : SumsOfLanes<kLanes>(d, column);
    if (left >= kLanes) {
      hn::StoreU(bias ? hn::Add(sums, hn::LoadU(d, bias + c0)) : sums, d, y + c0);
    } else {
      HWY_ALIGN float some[kLanes];
      hn::Store(sums, d, some);
      for (size_t c = 0; c < left; ++c) y[c0 + c] = bias ? some[c] + bias[c0 + c] : some[c];
    }
  }
}

// Columns [n_begin, n_end), at most kTileColumns; those up to `n_task` will be asked for next.
template <typename T>
void TiledBlock(const MatMulJob& job, size_t n_begin, size_t n_end, size_t n_task, float* scratch) {
  constexpr size_t kLanes = hn::MaxLanes(DF());
  constexpr size_t kRow = kTileColumns * kLanes;  // accumulators of one row of x
  const size_t k = job.x.k;
  const size_t columns = n_end - n_begin;
  const size_t tiles = (columns + kTileWidth - 1) / kTileWidth;
  float* const w_tile = scratch;                                     // [kTileWidth, kMatMulStride]
  float* const accumulators = scratch + kTileWidth * kMatMulStride;  // [row][kTileColumns][kLanes]
  for (size_t m0 = 0; m0 < job.x.rows; m0 += kBlockRows) {
    const size_t block = std::min(kBlockRows, job.x.rows - m0);
    for (size_t k0 = 0; k0 < k; k0 += kMatMulChunk) {
      const size_t width = ChunkWidth(k, k0);
      const size_t stored = std::min(kMatMulChunk, k - k0);
      const bool last = k0 + kMatMulChunk >= k;
      const bool more = !last || m0 + kBlockRows >= job.x.rows;  // else the next block of rows comes back to these
      size_t ahead = 0;
      const float* x_chunk = job.x.Piece(m0, k0);
      for (size_t t = 0; t < tiles; ++t) {
        const size_t n = n_begin + t * kTileWidth;
        float* acc_tile = accumulators + t * kTileWidth * kLanes;
        size_t m = 0;
        if (block >= kTileRows && n + kTileWidth <= n_end && stored == width) {
          TileChunk<T, kTileRows, kTileWidth>(x_chunk, job.w + (n * k + k0) * sizeof(T), k * sizeof(T), w_tile, width,
                                              k0 == 0, acc_tile);
          m = kTileRows;
        } else {
          for (size_t c = 0; c < kTileWidth; ++c) {
            if (n + c < n_end) {
              WidenRow<T>(job.w + ((n + c) * k + k0) * sizeof(T), stored, width, w_tile + c * kMatMulStride);
            } else {
              std::memset(w_tile + c * kMatMulStride, 0, width * sizeof(float));
            }
          }
        }
        for (; m < block; m += kTileRows) {
          if (more && ahead < kTileColumns) {
            FetchAhead<T>(job, last ? n_task : n_end, (last ? n_end : n_begin) + ahead, last ? 0 : k0 + kMatMulChunk);
            ++ahead;
          }
          TileChunkOfRows(std::min(kTileRows, block - m), x_chunk + m * kMatMulStride, w_tile, width, k0 == 0,
                          acc_tile + m * kRow);
        }
      }
    }
    for (size_t m = 0; m < block; ++m) {
      StoreSums(job, m0 + m, n_begin, columns, accumulators + m * kRow);
    }
  }
}

template <typename T>
void TiledOfType(const MatMulJob& job, size_t n_begin, size_t n_end, float* scratch) {
  for (size_t n = n_begin; n < n_end; n += kTileColumns) {
    TiledBlock<T>(job, n, std::min(n_end, n + kTileColumns), n_end, scratch);
  }
}

void Tiled(const MatMulJob& job, size_t n_begin, size_t n_end, float* scratch) {
  switch (job.w_type) {
    case DType::kF32:
      return TiledOfType<float>(job, n_begin, n_end, scratch);
    case DType::kF16:
      return TiledOfType<F16>(job, n_begin, n_end, scratch);
    case DType::kBF16:
      return TiledOfType<BF16>(job, n_begin, n_end, scratch);
    default:
      STABLELM_CHECK(false);
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Streamed);
HWY_EXPORT(Tiled);
}  // namespace

void PackRows(const float* x, size_t rows, size_t k, size_t row_begin, size_t row_end, float* packed) {
  for (size_t k0 = 0; k0 < k; k0 += kMatMulChunk) {
    const size_t stored = std::min(kMatMulChunk, k - k0);
    const size_t width = (stored + kMatMulPadding - 1) / kMatMulPadding * kMatMulPadding;
    for (size_t m = row_begin; m < row_end; ++m) {
      float* out = packed + (k0 / kMatMulChunk * rows + m) * kMatMulStride;
      std::memcpy(out, x + m * k + k0, stored * sizeof(float));
      std::fill(out + stored, out + width, 0.0f);
    }
  }
}

void MatMulStreamed(const MatMulJob& job, size_t n_begin, size_t n_end) {
  HWY_DYNAMIC_DISPATCH(Streamed)(job, n_begin, n_end);
}

void MatMulTiled(const MatMulJob& job, size_t n_begin, size_t n_end, float* scratch) {
  HWY_DYNAMIC_DISPATCH(Tiled)(job, n_begin, n_end, scratch);
}

}  // namespace stablelm
#endif  // HWY_ONCE
