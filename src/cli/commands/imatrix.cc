// stablelm imatrix: measures over a text how much each column of every matrix is used, for `quantize --imatrix`.
#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/progress.h"
#include "base/shell_word.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/commands/out_name.h"
#include "eval/importance_collector.h"
#include "eval/text_windows.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kWindow = 512;  // as in llama.cpp

class Imatrix : public Command {
 public:
  std::string Name() const override { return "imatrix"; }
  std::string Summary() const override { return "Measure which columns of the matrices a text uses, for quantize"; }
  std::string Examples() const override {
    return "  stablelm imatrix ./stablelm-tuned-alpha-3b --file calibration.txt -o imatrix.gguf\n"
           "  stablelm quantize ./stablelm-tuned-alpha-3b stablelm-3b-q4.gguf --imatrix imatrix.gguf\n"
           "\n"
           "For every matrix the mean square of the activation that each of its columns meets while the text is read,\n"
           "in windows of 512 tokens. The file is llama.cpp's imatrix (GGUF). It does not depend on the number of\n"
           "threads. The text should be like what the model will be asked: some ten thousand tokens are enough.";
  }
  unsigned Takes() const override { return kTakesModelFirst | kTakesThreads | kTakesDtype | kTakesActivation; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "--file", "FILE", text_, "The calibration text (- is standard input)");
    AddText(app, "-o,--out", "OUT", out_path_, "The .gguf file to write");
    AddNumber(app, "--tokens", tokens_, Limits<int64_t>{2, int64_t{1} << 40}, "Read at most N tokens");
    AddInvalidUtf8(app, replace_invalid_);
    AddCheckWeights(app, check_weights_);
  }
  int Run(Output& out) override;

 private:
  void CheckUsage() const;
  std::vector<int32_t> ReadIds(const ModelOfCommand& model) const;

  std::string text_, out_path_;
  std::optional<int64_t> tokens_;
  bool replace_invalid_ = false, check_weights_ = false;
};

void Imatrix::CheckUsage() const {
  const char* usage = "stablelm imatrix MODEL --file TEXT -o OUT.gguf";
  RequireGiven(!text_.empty(), "--file", usage);
  RequireGiven(!out_path_.empty(), "-o, --out", usage);
  if (out_path_ == "-") {
    throw UsageError({.where = "--out",
                      .what = "an importance matrix is not written to standard output",
                      .found = Quoted(out_path_),
                      .expected = "a name that ends in .gguf",
                      .hint = "such as imatrix.gguf"});
  }
  if (fs::path(out_path_).extension() == ".dat") {
    throw UsageError({.where = "--out",
                      .what = "llama.cpp's older kind of file is not written",
                      .found = Quoted(out_path_),
                      .expected = "a name that ends in .gguf",
                      .hint = "-o " + ShellWord(fs::path(out_path_).replace_extension(".gguf").string())});
  }
  RequireOutKind(out_path_, OutKind::kGguf);
  RefuseExisting(out_path_);
}

std::vector<int32_t> Imatrix::ReadIds(const ModelOfCommand& model) const {
  const std::string where = text_ == "-" ? "standard input" : text_;
  const std::string text = CheckedUtf8(ReadFileOrPipe(text_), where, replace_invalid_);
  std::vector<int32_t> ids = model.source().ReadTokenizer({.model_vocab_size = model.config().vocab_size}).Encode(text);
  if (tokens_) ids.resize(std::min(ids.size(), static_cast<size_t>(*tokens_)));
  if (ids.size() >= 2) return ids;
  throw Error({.where = where,
               .what = "too short to calibrate with",
               .found = Counted(ids.size(), "token"),
               .expected = "at least 2, better some ten thousand",
               .hint = "take a longer text"});
}

int Imatrix::Run(Output& out) {
  CheckUsage();
  ModelOfCommand model(common, out);
  const std::vector<int32_t> ids = ReadIds(model);
  const int64_t length = std::min(kWindow, model.config().max_positions);
  const std::vector<TextWindow> windows = TextWindows(ids, length);
  uint64_t tokens = 0;
  for (const TextWindow& window : windows) tokens += window.size();

  const RunShape run = ShapeOfWindows(length, false, static_cast<size_t>(common.threads));
  { const AtomicFile probe(out_path_); }  // refuse a read-only folder before the work
  model.Load(run, check_weights_);
  const InterruptGuard guard;
  const auto start = Clock::now();
  ImportanceCollector collector(model.config(), model.pool());
  Progress progress("Reading the text", tokens, Progress::Unit::kItems, out.show_progress());
  try {
    RunWindows(model.model(), run, model.pool(), windows,
               {.hooks = {.observer = &collector, .leave = LeaveWhenSet(&InterruptFlag())}, .progress = &progress});
  } catch (const Cancelled&) {
    throw InterruptedExit();
  }
  progress.Finish();
  const std::vector<ImportanceSums> sums = collector.Result();
  const std::string name = text_ == "-" ? text_ : fs::path(text_).filename().string();
  WriteImportance(
      out_path_, sums,
      {.text = name, .chunks = static_cast<uint32_t>(windows.size()), .chunk_tokens = static_cast<uint32_t>(length)});
  const double seconds = SecondsSince(start);
  const uint64_t bytes = fs::file_size(out_path_);
  if (out.json()) {
    out.Json({{"path", out_path_},
              {"matrices", sums.size()},
              {"tokens", tokens},
              {"windows", windows.size()},
              {"window", length},
              {"bytes", bytes},
              {"seconds", seconds}});
  } else {
    out.Text(out_path_ + ": " + Counted(sums.size(), "matrix", "matrices") + " over " + Counted(tokens, "token") +
             " in " + Counted(windows.size(), "window") + ", " + HumanBytes(bytes) + " in " + Rounded(seconds, 1) +
             " s\n");
  }
  return kExitOk;
}

}  // namespace

std::unique_ptr<Command> MakeImatrix() { return std::make_unique<Imatrix>(); }

}  // namespace stablelm
