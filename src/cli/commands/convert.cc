// stablelm convert: converts a model between file formats with the same weights.
#include "base/error.h"
#include "base/json_value.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "checkpoint/huggingface/writer.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/out_name.h"
#include "cli/commands/write_model.h"

namespace stablelm {
namespace {

class Convert : public Command {
 public:
  std::string Name() const override { return "convert"; }
  std::string Summary() const override { return "Turn a model folder into a GGUF file, or back"; }
  std::string Examples() const override {
    return "  stablelm convert ./stablelm-tuned-alpha-3b stablelm-3b.gguf\n"
           "  stablelm convert stabilityai/stablelm-tuned-alpha-3b stablelm-3b.gguf --dtype fp16\n"
           "  stablelm convert stablelm-3b.gguf ./stablelm-3b --max-shard-size 2GB\n"
           "\n"
           "An OUT that ends in .gguf is written as GGUF, anything else as a Hugging Face folder. Weights keep their\n"
           "type (norms and biases are fp32 in GGUF, as llama.cpp needs them) and every bit, there and back; "
           "tokenizer,\n"
           "settings, chat record, README and licence go with them. Quantized matrices stay as they are from GGUF to\n"
           "GGUF and become fp32 in a folder.";
  }
  unsigned Takes() const override { return kTakesThreads | kTakesModelFirst; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "OUT", "OUT", out_path_, "The .gguf file or the folder to make");
    AddChoice(app, "--dtype", {"stored", "fp32", "fp16", "bf16"}, "Type of the matrices in OUT (default: stored)",
              [this](size_t i) {
                constexpr std::optional<DType> kTypes[] = {std::nullopt, DType::kF32, DType::kF16, DType::kBF16};
                dtype_ = kTypes[i];
              });
    AddText(app, "--name", "TEXT", name_, "Name of the model in the GGUF file (default: that of MODEL)");
    AddText(app, "--license", "TEXT", licence_, "Licence of the weights in the GGUF file (default: that of MODEL)");
    AddValue(app, "--max-shard-size", "SIZE", "Largest file of weights of a folder (default: 5GB)",
             [this](const std::string& text) { max_shard_bytes_ = ParseByteSize(text, "--max-shard-size"); });
  }

  size_t NeededAfterModel(const Arguments& /*arguments*/) const override { return 1; }

  int Run(Output& out) override {
    RequireGiven(!common.model.empty(), "MODEL", "stablelm convert MODEL OUT");
    RequireGiven(!out_path_.empty(), "OUT", "stablelm convert MODEL model.gguf");
    const bool to_gguf = OutKindOf(out_path_) == OutKind::kGguf;
    if (!to_gguf && (name_ || licence_)) {
      throw UsageError({.where = name_ ? "--name" : "--license",
                        .what = "goes into a GGUF file, but OUT is a folder",
                        .expected = "an OUT that ends in .gguf",
                        .hint = std::string("leave ") + (name_ ? "--name" : "--license") + " out for a folder"});
    }
    const auto model = ModelFolder::Open(common.model);
    for (const std::string& warning : model->warnings()) out.Warning(warning);

    const InterruptGuard guard;
    const auto start = Clock::now();
    const uint64_t bytes = WriteModel(*model,
                                      {.out = out_path_,
                                       .dtype = dtype_,
                                       .name = name_,
                                       .licence = licence_,
                                       .max_shard_bytes = max_shard_bytes_,
                                       .threads = common.threads},
                                      out);
    if (Interrupted()) out.Note("the interrupt came when the work was done");
    Report(*model, to_gguf, bytes, SecondsSince(start), out);
    return kExitOk;
  }

 private:
  void Report(const ModelFolder& model, bool to_gguf, uint64_t bytes, double seconds, Output& out) const {
    if (out.json()) {
      out.Json({{"path", out_path_},
                {"format", to_gguf ? "GGUF" : "folder"},
                {"parameters", model.config().NumParameters()},
                {"bytes", bytes},
                {"seconds", seconds}});
      return;
    }
    out.Text(out_path_ + ": " + std::to_string(model.config().NumParameters()) + " parameters, " + HumanBytes(bytes) +
             " in " + Rounded(seconds, 1) + " s\n");
  }

  std::string out_path_;
  std::optional<DType> dtype_;
  std::optional<std::string> name_;
  std::optional<std::string> licence_;
  uint64_t max_shard_bytes_ = WriterOptions().max_shard_bytes;
};

}  // namespace

std::unique_ptr<Command> MakeConvert() { return std::make_unique<Convert>(); }

}  // namespace stablelm
