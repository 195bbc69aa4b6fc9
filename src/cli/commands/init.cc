// stablelm init: writes a model folder with random weights, for training from scratch and for speed tests.
#include <filesystem>

#include "base/error.h"
#include "base/json_value.h"
#include "base/nearest.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/huggingface/writer.h"
#include "checkpoint/rewrite/initial_weights.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/out_name.h"
#include "cli/commands/read_shape.h"

namespace stablelm {
namespace {

class Init : public Command {
 public:
  std::string Name() const override { return "init"; }
  std::string Summary() const override { return "Make a model folder with random weights"; }
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
    RequireOutKind(out_folder_, OutKind::kFolder);
    RequireGiven(!shape_.empty(), "--shape", "3b, 7b or a config.json");
    const ModelConfig config = ReadShape(shape_);

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
  void WriteWeights(const ModelConfig& config, FolderWriter& writer, Output& out) const {
    ThreadPool pool(common.threads);
    Progress progress("writing", writer.TotalBytes(), Progress::Unit::kBytes, out.show_progress());
    DrawInitialWeights(
        config,
        {.seed = seed_, .dtype = writer_.dtype, .pool = &pool, .progress = &progress, .checkpoint = ThrowIfInterrupted},
        [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); });
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
