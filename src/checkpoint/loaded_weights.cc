#include "checkpoint/loaded_weights.h"

#include <algorithm>
#include <functional>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/progress.h"
#include "checkpoint/model_folder.h"
#include "ops/convert_values.h"
#include "ops/row_converter.h"

namespace stablelm {
namespace {

constexpr size_t kKinds = static_cast<size_t>(WeightKind::kOutput) + 1;
constexpr size_t kPieceElements = size_t{4} << 20;  // of work handed to a thread

size_t Slot(WeightKind kind, int32_t layer) {
  return static_cast<size_t>(layer + 1) * kKinds + static_cast<size_t>(kind);
}

static_assert(kPieceElements % 256 == 0);  // whole blocks of every quantized type

size_t Bytes(DType type, size_t elements) { return BytesOf(type, static_cast<int64_t>(elements)); }

// Pieces [begin, end) of n, over the pool's threads when there is one.
void ForPieces(ThreadPool* pool, size_t n, size_t piece, const std::function<void(size_t begin, size_t end)>& body) {
  const size_t pieces = (n + piece - 1) / piece;
  const auto run = [&](size_t i) { body(i * piece, std::min(n, (i + 1) * piece)); };
  if (pool && pieces > 1) {
    pool->ForEach(pieces, [&](size_t i, size_t) { run(i); });
  } else {
    for (size_t i = 0; i < pieces; ++i) run(i);
  }
}

}  // namespace

struct LoadedWeights::State {
  std::shared_ptr<const ModelFolder> folder;
  struct Place {
    const MappedFile* file = nullptr;  // in place, at `offset`
    size_t offset = 0;
    AlignedBuffer<std::byte> copy;  // or here
    std::optional<size_t> pending;  // not there yet: the entry of the table for Fetch
  };
  std::vector<TensorView> views;  // by Slot; no data: not in the table
  std::vector<Place> places;      // by Slot
  size_t mapped_bytes = 0;
  size_t allocated_bytes = 0;
};

namespace {

// Brings one tensor of the table to where and what it shall be.
class TensorLoader {
 public:
  TensorLoader(const WeightFile& file, const StoredTensor& tensor, const LoadOptions& options, Progress& progress)
      : file_(file), tensor_(tensor), options_(options), progress_(progress) {}

  void CheckInPlace() const { Check(file_.map.bytes().data() + tensor_.offset, 0, Elements(), "stored"); }

  AlignedBuffer<std::byte> Copy(DType type) const {
    const size_t n = Elements();
    AlignedBuffer<std::byte> copy(Bytes(type, n), tensor_.name.c_str());
    if (tensor_.contiguous()) {
      Convert(file_.map.bytes().data() + tensor_.offset, type, copy.data(), /*in_file=*/true);
    } else if (type == *tensor_.dtype) {
      GatherTensor(tensor_, file_.map.bytes(), copy.span());
      Check(copy.data(), 0, n, "stored");
    } else {
      AlignedBuffer<std::byte> gathered(tensor_.bytes, tensor_.name.c_str());
      GatherTensor(tensor_, file_.map.bytes(), gathered.span());
      Convert(gathered.data(), type, copy.data(), /*in_file=*/false);
    }
    return copy;
  }

 private:
  size_t Elements() const { return static_cast<size_t>(tensor_.shape.NumElements()); }

  void Convert(const std::byte* from, DType type, std::byte* to, bool in_file) const {
    const DType stored = *tensor_.dtype;
    if (IsQuantized(type)) return Encode(from, type, to, in_file);
    ForPieces(options_.pool, Elements(), kPieceElements, [&](size_t begin, size_t end) {
      const size_t offset = Bytes(stored, begin), bytes = Bytes(stored, end) - offset;
      ConvertValues(from + offset, stored, to + Bytes(type, begin), type, end - begin);
      if (options_.check_values) {
        CheckPiece(from, stored, begin, end, "stored");
        CheckPiece(to, type, begin, end, "overflows when converted");
      }
      // The reader is done with these pages: they need not stay in this process.
      if (in_file) file_.map.Release(tensor_.offset + offset, bytes);
      progress_.Add(bytes);
    });
  }

  void Encode(const std::byte* from, DType type, std::byte* to, bool in_file) const {
    const DType stored = *tensor_.dtype;
    const int64_t width = tensor_.shape[1];
    const RowConverter converter({.from = stored,
                                  .to = type,
                                  .width = static_cast<size_t>(width),
                                  .matrix = true,
                                  .where = file_.map.path().string() + ": tensor " + Quoted(tensor_.name)});
    const size_t from_row = BytesOf(stored, width), to_row = BytesOf(type, width);
    const size_t rows = static_cast<size_t>(tensor_.shape[0]);
    const size_t piece = std::max<size_t>(1, kPieceElements / 16 / static_cast<size_t>(width));
    ForPieces(options_.pool, rows, piece, [&](size_t begin, size_t end) {
      std::vector<float> scratch(converter.ScratchFloats());
      for (size_t row = begin; row < end; ++row) {
        converter.Convert(static_cast<int64_t>(row), from + row * from_row, scratch, to + row * to_row);
      }
      if (in_file) file_.map.Release(tensor_.offset + begin * from_row, (end - begin) * from_row);
      progress_.Add((end - begin) * from_row);
    });
  }

  void Check(const std::byte* values, size_t begin, size_t end, const char* state) const {
    if (!options_.check_values) return;
    ForPieces(options_.pool, end - begin, kPieceElements, [&](size_t from, size_t to) {
      CheckPiece(values, *tensor_.dtype, begin + from, begin + to, state);
      progress_.Add(Bytes(*tensor_.dtype, to - from));
    });
  }

  void CheckPiece(const std::byte* values, DType type, size_t begin, size_t end, const char* state) const {
    const size_t bad = FirstNonFiniteValue(values + Bytes(type, begin), type, end - begin);
    if (bad == end - begin) return;
    throw Error({.where = file_.map.path().string() + ": tensor " + Quoted(tensor_.name),
                 .what = std::string("the value at flat index ") + std::to_string(begin + bad) + " is not finite",
                 .found = std::string("NaN or infinity (") + state + " as " + std::string(NameOf(type)) + ")",
                 .expected = "finite numbers",
                 .hint = "the weights are damaged, or do not fit the type that was asked for"});
  }

  const WeightFile& file_;
  const StoredTensor& tensor_;
  const LoadOptions& options_;
  Progress& progress_;
};

}  // namespace

LoadedWeights::LoadedWeights(std::unique_ptr<State> state) : state_(std::move(state)) {}
LoadedWeights::LoadedWeights(LoadedWeights&&) noexcept = default;
LoadedWeights& LoadedWeights::operator=(LoadedWeights&&) noexcept = default;
LoadedWeights::~LoadedWeights() = default;

LoadedWeights LoadedWeights::Load(std::shared_ptr<const ModelFolder> folder, const LoadOptions& options) {
  STABLELM_CHECK(folder);
  STABLELM_CHECK(!options.dtype || *options.dtype == DType::kF32 || *options.dtype == DType::kF16 ||
                 *options.dtype == DType::kBF16);
  auto state = std::make_unique<State>();
  state->folder = folder;
  const std::vector<WeightEntry>& table = folder->table();
  state->views.resize((static_cast<size_t>(folder->config().n_layers) + 1) * kKinds);
  state->places.resize(state->views.size());

  STABLELM_CHECK(options.types.empty() || options.types.size() == table.size());
  const auto as_stored = [&](size_t i) {
    return options.linears_as_stored && table[i].IsMatrix() && table[i].kind != WeightKind::kEmbedding;
  };
  const auto type_in_memory = [&](size_t i) {
    if (!table[i].IsMatrix()) return DType::kF32;
    const DType stored = *folder->TensorOf(i).dtype;
    const DType plain = stored == DType::kF64 ? DType::kF32 : stored;
    if (as_stored(i)) return plain;
    return options.types.empty() ? options.dtype.value_or(plain) : options.types[i];
  };
  const auto stays = [&](size_t i) {
    const StoredTensor& tensor = folder->TensorOf(i);
    return table[i].IsMatrix() && tensor.contiguous() && *tensor.dtype == type_in_memory(i);
  };
  // What is encoded later is checked then.
  LoadOptions unchecked = options;
  unchecked.check_values = false;
  const auto options_of = [&](size_t i) -> const LoadOptions& {
    return as_stored(i) && !options.types.empty() && IsQuantized(options.types[i]) ? unchecked : options;
  };
  uint64_t work = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    if (stays(i) ? options_of(i).check_values : !as_stored(i)) work += folder->TensorOf(i).bytes;
  }
  Progress progress(options.types.empty() ? "Loading weights" : "Quantizing weights", work, Progress::Unit::kBytes,
                    options.show_progress);

  for (size_t i = 0; i < table.size(); ++i) {
    const WeightFile& file = folder->FileOf(i);
    const StoredTensor& tensor = folder->TensorOf(i);
    const TensorLoader loader(file, tensor, options_of(i), progress);
    const size_t slot = Slot(table[i].kind, table[i].layer);
    TensorView& view = state->views[slot];
    view.shape = table[i].shape;
    view.dtype = type_in_memory(i);
    State::Place& kept = state->places[slot];
    if (stays(i)) {
      loader.CheckInPlace();
      state->mapped_bytes += tensor.bytes;
      kept.file = &file.map;
      kept.offset = tensor.offset;
      view.data = file.map.bytes().data() + tensor.offset;
    } else if (as_stored(i)) {
      kept.pending = i;
    } else {
      kept.copy = loader.Copy(view.dtype);
      state->allocated_bytes += kept.copy.size();
      view.data = kept.copy.data();
    }
  }
  if (folder->config().tie_word_embeddings) {
    state->views[Slot(WeightKind::kOutput, -1)] = state->views[Slot(WeightKind::kEmbedding, -1)];
  }
  progress.Finish();
  return LoadedWeights(std::move(state));
}

const ModelConfig& LoadedWeights::config() const { return state_->folder->config(); }

QkvOrder LoadedWeights::qkv_order() const { return state_->folder->qkv_order(); }

size_t LoadedWeights::BytesOfTensor(WeightKind kind, int32_t layer) const {
  STABLELM_CHECK(layer >= -1 && layer < config().n_layers);
  return state_->views[Slot(kind, layer)].SizeBytes();
}

void LoadedWeights::Fetch(WeightKind kind, int32_t layer, const LoadOptions& options) {
  STABLELM_CHECK(layer >= -1 && layer < config().n_layers);
  State::Place& place = state_->places[Slot(kind, layer)];
  if (!place.pending) return;
  TensorView& view = state_->views[Slot(kind, layer)];
  const ModelFolder& folder = *state_->folder;
  Progress unseen({}, 0, Progress::Unit::kBytes, false);  // whoever uses the matrix counts its bytes
  place.copy =
      TensorLoader(folder.FileOf(*place.pending), folder.TensorOf(*place.pending), options, unseen).Copy(view.dtype);
  place.pending.reset();
  state_->allocated_bytes += place.copy.size();
  view.data = place.copy.data();
}

TensorView LoadedWeights::Get(WeightKind kind, int32_t layer) const {
  STABLELM_CHECK(layer >= -1 && layer < config().n_layers);
  const TensorView& view = state_->views[Slot(kind, layer)];
  STABLELM_CHECK(view.data != nullptr);
  return view;
}

void LoadedWeights::Release(WeightKind kind, int32_t layer, size_t begin, size_t bytes) const {
  const State::Place& place = state_->places[Slot(kind, layer)];
  if (place.file) place.file->Release(place.offset + begin, bytes);
}

void LoadedWeights::Drop(WeightKind kind, int32_t layer) {
  State::Place& place = state_->places[Slot(kind, layer)];
  if (place.file) return;
  state_->views[Slot(kind, layer)].data = nullptr;
  state_->allocated_bytes -= place.copy.size();
  place.copy = {};
}

size_t LoadedWeights::MappedBytes() const { return state_->mapped_bytes; }
size_t LoadedWeights::AllocatedBytes() const { return state_->allocated_bytes; }

}  // namespace stablelm
