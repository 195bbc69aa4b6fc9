// stablelm lora merge: makes one model of a base and its adapters.
#include <algorithm>

#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "checkpoint/adapter/merge_adapters.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/commands/write_model.h"
#include "prompt/chat_record.h"

namespace stablelm {
namespace {

constexpr size_t kMaxRecordBytes = 1 << 20;

class LoraMerge : public Command {
 public:
  std::string Name() const override { return "lora merge"; }
  std::string Summary() const override { return "Make one model of a base and its LoRA adapters"; }
  std::string Examples() const override {
    return "  stablelm lora merge -m ./stablelm-3b --lora runs/lora/best ./stablelm-3b-mine\n"
           "  stablelm lora merge -m stablelm-3b.gguf --lora ./poems:0.5 --lora ./facts merged.gguf --dtype fp16\n"
           "\n"
           "Every matrix W that an adapter changes becomes W + SCALE * s B A, computed in fp32 and rounded once to "
           "the\n"
           "type in OUT. The same model without merging is the base with --lora, but for that rounding. OUT is as for\n"
           "stablelm convert; the chat record of an adapter goes along. A quantized base needs --dtype: merge first,\n"
           "then quantize.";
  }
  unsigned Takes() const override { return kTakesThreads | kTakesModelFirst | kTakesLora; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "OUT", "OUT", out_path_, "The .gguf file or the folder to make");
    AddChoice(app, "--dtype", {"stored", "fp32", "fp16", "bf16"}, "Type of the matrices in OUT (default: stored)",
              [this](size_t i) {
                constexpr std::optional<DType> kTypes[] = {std::nullopt, DType::kF32, DType::kF16, DType::kBF16};
                dtype_ = kTypes[i];
              });
    AddValue(app, "--max-shard-size", "SIZE", "Largest file of weights of a folder (default: 5GB)",
             [this](const std::string& text) { max_shard_bytes_ = ParseByteSize(text, "--max-shard-size"); });
  }
  size_t NeededAfterModel(const Arguments& /*arguments*/) const override { return 1; }

  int Run(Output& out) override {
    const std::string usage = "stablelm lora merge -m MODEL --lora DIR OUT";
    RequireGiven(!common.model.empty(), "MODEL", usage);
    RequireGiven(!common.lora.empty(), "--lora", usage);
    RequireGiven(!out_path_.empty(), "OUT", usage);
    OutKindOf(out_path_);  // refuses slips before anything is read
    const auto model = ModelFolder::Open(common.model);
    for (const std::string& warning : model->warnings()) out.Warning(warning);
    const std::vector<AdapterChoice> adapters = OpenAdapters(common, model->config(), out);

    const InterruptGuard guard;
    const auto start = Clock::now();
    const AdapterMerge merge(*model, adapters);
    if (!dtype_) RequireFloats(*model, merge);
    const uint64_t bytes = WriteModel(*model,
                                      {.out = out_path_,
                                       .dtype = dtype_,
                                       .chat_record = ChatRecordOf(adapters),
                                       .max_shard_bytes = max_shard_bytes_,
                                       .change = merge.Change(),
                                       .threads = common.threads,
                                       .doing = "merging"},
                                      out);
    if (Interrupted()) out.Note("the interrupt came when the work was done");
    Report(*model, merge, adapters, bytes, SecondsSince(start), out);
    return kExitOk;
  }

 private:
  static void RequireFloats(const ModelFolder& model, const AdapterMerge& merge) {
    for (size_t i = 0; i < model.table().size(); ++i) {
      if (!merge.Changes(i) || !IsQuantized(*model.TensorOf(i).dtype)) continue;
      throw Error({.where = model.path().string() + ": tensor " + Quoted(model.TensorOf(i).name),
                   .what = "quantized, and a sum with an adapter would have to be quantized again",
                   .found = std::string(NameOf(*model.TensorOf(i).dtype)),
                   .expected = "a float type",
                   .hint = "merge into the original weights, or add --dtype fp16"});
    }
  }

  // Of the last adapter that has one.
  static std::optional<std::string> ChatRecordOf(const std::vector<AdapterChoice>& adapters) {
    std::optional<std::string> text;
    for (const AdapterChoice& adapter : adapters) {
      const std::filesystem::path file = adapter.folder->path() / kChatRecordFile;
      std::error_code ignored;
      if (std::filesystem::exists(file, ignored)) text = ReadTextFile(file, kMaxRecordBytes);
    }
    return text;
  }

  void Report(const ModelFolder& model, const AdapterMerge& merge, const std::vector<AdapterChoice>& adapters,
              uint64_t bytes, double seconds, Output& out) const {
    size_t changed = 0;
    for (size_t i = 0; i < model.table().size(); ++i) changed += merge.Changes(i);
    if (out.json()) {
      out.Json({{"path", out_path_},
                {"format", OutKindOf(out_path_) == OutKind::kGguf ? "GGUF" : "folder"},
                {"parameters", model.config().NumParameters()},
                {"changed_matrices", changed},
                {"lora", AdaptersJson(adapters)},
                {"bytes", bytes},
                {"seconds", seconds}});
      return;
    }
    out.Text(out_path_ + ": " + std::to_string(model.config().NumParameters()) + " parameters, " +
             Counted(changed, "matrix", "matrices") + " changed, " + HumanBytes(bytes) + " in " + Rounded(seconds, 1) +
             " s\n");
  }

  std::string out_path_;
  std::optional<DType> dtype_;
  uint64_t max_shard_bytes_ = WriterOptions().max_shard_bytes;
};

}  // namespace

std::unique_ptr<Command> MakeLoraMerge() { return std::make_unique<LoraMerge>(); }

}  // namespace stablelm
