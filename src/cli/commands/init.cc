// stablelm init: a model folder with freshly drawn weights, for training from scratch and for measuring speed.
//
// Initialisation of GPT-NeoX as StableLM-Alpha was trained with it: "small_init" N(0, 2 / (5 C)) for the embedding, the
// query-key-value and up matrices and the output matrix; "wang_init" N(0, (2 / (L sqrt C))^2) for the two matrices that
// write to the residual stream. Biases 0; norms 1 and 0.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/nearest.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/huggingface/writer.h"
#include "cli/app/commands.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "ops/convert.h"
#include "ops/random/random_normal.h"

namespace stablelm {
namespace {

struct Draw {
  float stddev = 0;    // 0: constant
  float constant = 0;  // when there is nothing to draw
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

// A piece of one tensor: made in a worker's own buffer and written at its place.
struct Piece {
  size_t entry = 0;
  size_t begin = 0;  // element, a multiple of kNormalBlock
  size_t n = 0;
};
constexpr size_t kPieceElements = size_t{1} << 20;
constexpr size_t kSliceElements = size_t{1} << 13;  // of fp32 numbers at a time: they stay in the cache
static_assert(kPieceElements % kNormalBlock == 0 && kSliceElements % kNormalBlock == 0);

std::vector<Piece> PiecesOf(const std::vector<WeightEntry>& table) {
  std::vector<Piece> pieces;
  for (size_t entry = 0; entry < table.size(); ++entry) {
    const size_t n = static_cast<size_t>(table[entry].shape.NumElements());
    for (size_t begin = 0; begin < n; begin += kPieceElements) {
      pieces.push_back({entry, begin, std::min(kPieceElements, n - begin)});
    }
  }
  return pieces;
}

class Init : public Command {
 public:
  std::string Name() const override { return "init"; }
  std::string Summary() const override { return "Make a model folder with freshly drawn weights"; }
  std::string Examples() const override {
    return "  stablelm init --shape 3b --dtype fp16 --seed 1 my-3b\n"
           "  stablelm init --shape config.json --tokenizer tokenizer.json --max-shard-size 2GB my-model";
  }
  unsigned Takes() const override { return kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "OUT", "OUT", out_folder_, "The folder to make; it must not exist, or be empty");
    AddText(app, "--shape", "3b|7b|FILE", shape_, "Shape of a released model, or a config.json");
    AddChoice(app, "--dtype", {"fp32", "fp16", "bf16"}, "Type of the weights in the files (default: fp16)",
              [this](size_t i) {
                constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};
                writer_.dtype = kTypes[i];
              });
    AddNumber(app, "--seed", seed_, Limits<uint64_t>{}, "Which weights are drawn (default: 0); same seed, same bytes");
    AddText(app, "--tokenizer", "PATH", tokenizer_,
            "A tokenizer.json, or a model folder with one, to copy into the new folder");
    AddValue(app, "--max-shard-size", "SIZE", "Largest file of weights (default: 5GB)",
             [this](const std::string& text) { writer_.max_shard_bytes = ParseByteSize(text, "--max-shard-size"); });
  }

  int Run(Output& out) override {
    RequireGiven(!out_folder_.empty(), "OUT", "stablelm init --shape 3b my-3b");
    RequireGiven(!shape_.empty(), "--shape", "3b, 7b or a config.json");
    const ModelConfig config = ReadShape();

    const InterruptGuard guard;
    const auto start = Clock::now();
    FolderWriter writer(out_folder_, config, writer_);
    if (!tokenizer_.empty()) {
      if (std::filesystem::is_directory(tokenizer_)) {
        writer.CopyTokenizer(tokenizer_);
      } else {
        writer.CopyFile(tokenizer_, "tokenizer.json");
      }
    }
    WriteWeights(config, writer, out);
    const double drawn_s = SecondsSince(start);
    out.Flush();
    writer.Commit();
    if (Interrupted()) out.Note("the interrupt came when the folder was complete");
    Report(config, writer.TotalBytes(), drawn_s, SecondsSince(start), out);
    return kExitOk;
  }

 private:
  ModelConfig ReadShape() const {
    if (const auto config = ModelConfig::FromShapeName(shape_)) return *config;
    std::error_code ignored;
    if (!std::filesystem::exists(shape_, ignored)) {
      const std::string names[] = {"3b", "7b"};
      throw Error({.where = "--shape",
                   .what = "neither the name of a shape nor a file",
                   .found = Quoted(shape_),
                   .expected = "3b, 7b or the path of a config.json",
                   .hint = DidYouMean(shape_, names)});
    }
    return ReadConfig(std::filesystem::is_directory(shape_, ignored) ? std::filesystem::path(shape_) / "config.json"
                                                                     : std::filesystem::path(shape_));
  }

  // Number i of tensor t is a function of (seed, t, i) alone: any threads, any order of pieces, the same bytes.
  void WriteWeights(const ModelConfig& config, FolderWriter& writer, Output& out) {
    const std::vector<Piece> pieces = PiecesOf(writer.table());
    const size_t element_bytes = BytesOf(writer_.dtype);
    ThreadPool pool(common.threads);
    Progress progress("writing", writer.TotalBytes(), Progress::Unit::kBytes, out.show_progress());
    std::vector<AlignedBuffer<std::byte>> buffers;
    std::vector<AlignedBuffer<float>> slices;
    for (size_t i = 0; i < common.threads; ++i) {
      buffers.emplace_back(kPieceElements * element_bytes, "the buffer of a thread");
      slices.emplace_back(kSliceElements, "the buffer of a thread");
    }
    pool.ForEach(pieces.size(), [&](size_t index, size_t worker) {
      if (Interrupted()) throw InterruptedExit();
      const Piece& piece = pieces[index];
      const Draw draw = DrawOf(writer.table()[piece.entry].kind, config);
      std::byte* bytes = buffers[worker].data();
      float* slice = slices[worker].data();
      for (size_t at = 0; at < piece.n; at += kSliceElements) {
        const size_t n = std::min(kSliceElements, piece.n - at);
        if (draw.stddev > 0) {
          FillNormal(seed_, piece.entry, (piece.begin + at) / kNormalBlock, draw.stddev, slice, n);
        } else {
          std::fill_n(slice, n, draw.constant);
        }
        ConvertFromFloat(slice, n, writer_.dtype, bytes + at * element_bytes);
      }
      writer.WriteAt(piece.entry, piece.begin * element_bytes, {bytes, piece.n * element_bytes});
      progress.Add(piece.n * element_bytes);
    });
  }

  void Report(const ModelConfig& config, uint64_t bytes, double drawn_s, double total_s, Output& out) const {
    if (out.json()) {
      out.Json({{"path", out_folder_},
                {"parameters", config.NumParameters()},
                {"dtype", NameOf(writer_.dtype)},
                {"seed", seed_},
                {"bytes", bytes},
                {"seconds", {{"drawn", drawn_s}, {"total", total_s}}}});
      return;
    }
    char time[64];
    std::snprintf(time, sizeof time, " in %.1f s (%s/s)", total_s,
                  HumanBytes(static_cast<uint64_t>(static_cast<double>(bytes) / total_s)).c_str());
    out.Text(out_folder_ + ": " + std::to_string(config.NumParameters()) + " parameters, " +
             std::string(NameOf(writer_.dtype)) + ", seed " + std::to_string(seed_) + ", " + HumanBytes(bytes) + time +
             "\n");
  }

  std::string out_folder_;
  std::string shape_;
  std::string tokenizer_;
  uint64_t seed_ = 0;
  WriterOptions writer_{.dtype = DType::kF16};
};

}  // namespace

std::unique_ptr<Command> MakeInit() { return std::make_unique<Init>(); }

}  // namespace stablelm
