#include "checkpoint/rewrite/initial_weights.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "checkpoint/describe/weight_table.h"
#include "ops/convert.h"
#include "ops/random/random_normal.h"

namespace stablelm {
namespace {

struct Draw {
  float stddev = 0;    // 0: constant
  float constant = 0;  // used if stddev is 0
};

Draw DrawOf(WeightKind kind, const ModelConfig& config) {
  const double width = static_cast<double>(config.hidden_size);
  const Draw small = {.stddev = static_cast<float>(std::sqrt(2 / (5 * width))), .constant = 0};
  const Draw wang = {.stddev = static_cast<float>(2 / (static_cast<double>(config.n_layers) * std::sqrt(width))),
                     .constant = 0};
  switch (kind) {
    case WeightKind::kEmbedding:
    case WeightKind::kQkvWeight:
    case WeightKind::kMlpUpWeight:
    case WeightKind::kOutput:
      return small;
    case WeightKind::kAttnOutWeight:
    case WeightKind::kMlpDownWeight:
      return wang;
    case WeightKind::kAttnNormWeight:
    case WeightKind::kMlpNormWeight:
    case WeightKind::kFinalNormWeight:
      return {.stddev = 0, .constant = 1};
    case WeightKind::kAttnNormBias:
    case WeightKind::kMlpNormBias:
    case WeightKind::kFinalNormBias:
    case WeightKind::kQkvBias:
    case WeightKind::kAttnOutBias:
    case WeightKind::kMlpUpBias:
    case WeightKind::kMlpDownBias:
      return {};
  }
  STABLELM_CHECK(false);
}

// A piece of one tensor, generated in a worker's own buffer.
struct Piece {
  size_t entry = 0;
  size_t begin = 0;  // first element, a multiple of kNormalBlock
  size_t n = 0;
};
constexpr size_t kRandomPieceElements = size_t{1} << 20;
constexpr size_t kSliceElements = size_t{1} << 13;  // fp32 elements generated at a time, so that they fit in the cache
static_assert(kRandomPieceElements % kNormalBlock == 0 && kSliceElements % kNormalBlock == 0);

std::vector<Piece> PiecesOf(const std::vector<WeightEntry>& table) {
  std::vector<Piece> pieces;
  for (size_t entry = 0; entry < table.size(); ++entry) {
    const size_t n = static_cast<size_t>(table[entry].shape.NumElements());
    for (size_t begin = 0; begin < n; begin += kRandomPieceElements) {
      pieces.push_back({entry, begin, std::min(kRandomPieceElements, n - begin)});
    }
  }
  return pieces;
}

}  // namespace

void DrawInitialWeights(const ModelConfig& config, const InitialWeights& how, const TensorSink& sink) {
  const std::vector<WeightEntry> table = WeightTable(config);
  const std::vector<Piece> pieces = PiecesOf(table);
  const size_t element_bytes = BytesOf(how.dtype);
  std::vector<AlignedBuffer<std::byte>> buffers;
  std::vector<AlignedBuffer<float>> slices;
  for (size_t i = 0; i < how.pool->NumThreads(); ++i) {
    buffers.emplace_back(kRandomPieceElements * element_bytes, "the buffer of a thread");
    slices.emplace_back(kSliceElements, "the buffer of a thread");
  }
  how.pool->ForEach(pieces.size(), [&](size_t index, size_t worker) {
    if (how.checkpoint) how.checkpoint();
    const Piece& piece = pieces[index];
    const Draw draw = DrawOf(table[piece.entry].kind, config);
    std::byte* bytes = buffers[worker].data();
    float* slice = slices[worker].data();
    for (size_t at = 0; at < piece.n; at += kSliceElements) {
      const size_t n = std::min(kSliceElements, piece.n - at);
      if (draw.stddev > 0) {
        FillNormal(how.seed, piece.entry, (piece.begin + at) / kNormalBlock, draw.stddev, slice, n);
      } else {
        std::fill_n(slice, n, draw.constant);
      }
      ConvertFromFloat(slice, n, how.dtype, bytes + at * element_bytes);
    }
    sink(piece.entry, piece.begin * element_bytes, {bytes, piece.n * element_bytes});
    if (how.progress) how.progress->Add(piece.n * element_bytes);
  });
}

}  // namespace stablelm
