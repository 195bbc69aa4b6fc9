// stablelm quantize: writes a model as a GGUF file with quantized weights.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/ascii.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "checkpoint/rewrite/quantization.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "cli/app/arguments.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/out_name.h"
#include "cli/commands/quality_options.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

class Quantize : public Command {
 public:
  std::string Name() const override { return "quantize"; }
  std::string Summary() const override { return "Write a model as a GGUF file of smaller weights"; }
  std::string Examples() const override {
    std::string text =
        "  stablelm quantize ./stablelm-tuned-alpha-3b stablelm-3b-q4.gguf\n"
        "  stablelm quantize stabilityai/stablelm-tuned-alpha-3b stablelm-3b-q8.gguf Q8_0\n"
        "  stablelm quantize ./model out.gguf Q4_K --tensor 'blk.0.*=Q6_K' --tensor embed_out.weight=Q8_0\n"
        "  stablelm quantize ./model out.gguf --imatrix imatrix.gguf --check wiki.txt --max-kl 0.05\n"
        "\n"
        "Types:\n";
    for (const QuantMix& mix : QuantMixes()) {
      char line[160];
      std::snprintf(line, sizeof line, "  %-7.*s %.*s\n", static_cast<int>(mix.name.size()), mix.name.data(),
                    static_cast<int>(mix.about.size()), mix.about.data());
      text += line;
    }
    return text +
           "\n"
           "Norms and biases stay fp32. With Q5_K, Q4_K and Q4_0 the output matrix gets Q6_K. Patterns of --tensor\n"
           "are matched against the whole name of a matrix, as in Hugging Face's files or in GGUF; * is any text, ?\n"
           "one character; a later rule overrides an earlier one. An importance matrix is a file of stablelm imatrix\n"
           "or of llama.cpp's (GGUF or .dat). The file does not depend on the machine or the number of threads.";
  }
  unsigned Takes() const override { return kTakesModelFirst | kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "OUT", "OUT", out_path_, "The .gguf file to write");
    AddText(app, "TYPE", "TYPE", type_argument_, "How to store the matrices, as --type");
    AddText(app, "--type", "TYPE", type_, "How to store the matrices (default: Q4_K_M); see below");
    AddValues(app, "--tensor", "PATTERN=TYPE", "Store the matrices of these names as TYPE",
              [this](const std::string& text) { types_.rules.push_back(ParseTensorRule(text, "--tensor")); });
    AddText(app, "--imatrix", "FILE", imatrix_, "Importance matrix: errors count by how much a column is used");
    AddText(app, "--name", "TEXT", name_, "Name of the model in the file (default: that of MODEL)");
    AddFlag(app, "--strict", types_.strict, "Refuse rows that a type does not divide (default: Q8_0 or F16 there)");
    gate_.AddOptions(app);
    AddFlag(app, "--plan", plan_only_, "Only say what the file would hold");
  }

  // OUT [TYPE]; with --plan, which writes nothing, [TYPE] alone. A word that is no name of a GGUF file is not OUT.
  size_t NeededAfterModel(const Arguments& arguments) const override {
    const std::vector<std::string>& words = arguments.positionals;
    if (arguments.Has("--plan")) return NamesType(words[0]) ? 1 : 0;
    return words.size() > 1 && NamesType(words.back()) && IsGgufPath(words[0]) ? 2 : 1;
  }

  int Run(Output& out) override {
    RequireGiven(!common.model.empty(), "MODEL", "stablelm quantize MODEL OUT.gguf");
    // With --plan there may be no OUT before TYPE.
    if (plan_only_ && type_argument_.empty() && NamesType(out_path_)) std::swap(type_argument_, out_path_);
    RequireGiven(plan_only_ || !out_path_.empty(), "OUT", "stablelm quantize MODEL OUT.gguf");
    if (!type_argument_.empty() && !type_.empty()) {
      throw UsageError({.where = "--type",
                        .what = "the type is given twice, by the option and as an argument",
                        .found = type_ + " and " + type_argument_,
                        .hint = "leave one of them out"});
    }
    const std::string type = !type_.empty() ? type_ : !type_argument_.empty() ? type_argument_ : "Q4_K_M";
    gate_.RequireUsage();
    if (plan_only_ && gate_.Asked()) {
      throw UsageError(
          {.where = "--plan", .what = "writes no file that --check could compare", .hint = "leave one of them out"});
    }
    if (NamesType(out_path_)) {
      throw UsageError({.where = "OUT",
                        .what = "a type stands where the name of the file belongs",
                        .found = Quoted(out_path_),
                        .expected = "a name that ends in .gguf",
                        .hint = "stablelm quantize MODEL model.gguf " + out_path_});
    }
    if (!out_path_.empty()) RequireOutKind(out_path_, OutKind::kGguf);
    const QuantMix& mix = QuantMixByName(type, type_argument_.empty() ? "--type" : "TYPE");
    if (!plan_only_) RefuseExisting(out_path_);
    const auto model = ModelFolder::Open(common.model);
    for (const std::string& warning : model->warnings()) out.Warning(warning);
    std::vector<std::string> warnings;
    const std::vector<DType> types = ChooseTypes(mix, types_, model->table(), &warnings);
    for (const std::string& warning : warnings) out.Warning(warning);
    WarnOfSecondLoss(*model, types, out);

    const QuantizedSize size = SizeOfQuantized(*model, types);
    const std::vector<std::vector<float>> weights = ReadWeights(*model, types, out);
    if (plan_only_) {
      ReportPlan(size, out);
      return kExitOk;
    }
    const InterruptGuard guard;
    if (gate_.Asked()) {
      const fs::path folder = fs::path(out_path_).parent_path();
      gate_.RunSource(model, types, folder.empty() ? "." : folder, common, out);
    }
    const uint64_t bytes = Write(*model, mix, types, weights, out);
    if (Interrupted()) out.Note("the interrupt came when the file was complete");
    Report(*model, size, bytes, out);
    return kExitOk;
  }

 private:
  // Case-insensitive, as QuantMixByName is.
  static bool NamesType(const std::string& text) {
    return std::ranges::any_of(QuantMixes(),
                               [&](const QuantMix& mix) { return LowerAscii(mix.name) == LowerAscii(text); });
  }

  static JsonValue TypesJson(const QuantizedSize& size) {
    JsonValue lines = JsonValue::Object();
    for (const auto& [type, line] : size.types) {
      lines[std::string(GgufNameOf(type))] = {
          {"tensors", line.tensors}, {"weights", line.elements}, {"bytes", line.bytes}};
    }
    return lines;
  }

  static std::string TypesText(const QuantizedSize& size) {
    std::string text;
    for (const auto& [type, line] : size.types) {
      char row[128];
      std::snprintf(row, sizeof row, "  %-5s %4zu %-7s  %10s\n", std::string(GgufNameOf(type)).c_str(), line.tensors,
                    line.tensors == 1 ? "tensor" : "tensors", HumanBytes(line.bytes).c_str());
      text += row;
    }
    return text;
  }

  static void ReportPlan(const QuantizedSize& size, Output& out) {
    if (out.json()) {
      out.Json({{"types", TypesJson(size)},
                {"bytes", size.bytes},
                {"source_bytes", size.source_bytes},
                {"bits_per_weight", size.BitsPerWeight()}});
      return;
    }
    out.Text(TypesText(size) + "  all " + HumanBytes(size.bytes) + " of weights, " + Rounded(size.BitsPerWeight(), 2) +
             " bits each, from " + HumanBytes(size.source_bytes) + "\n");
  }

  // Quantizing again adds up rounding errors; copying the same type does not.
  static void WarnOfSecondLoss(const ModelFolder& model, const std::vector<DType>& types, Output& out) {
    const size_t again = CountRequantized(model, types);
    if (again > 0) {
      out.Warning(Counted(again, "tensor is quantized already and is", "tensors are quantized already and are") +
                  " quantized anew: errors add up; start from the original weights where you can");
    }
  }

  // One entry per tensor of the weight table; empty without --imatrix.
  std::vector<std::vector<float>> ReadWeights(const ModelFolder& model, const std::vector<DType>& types,
                                              Output& out) const {
    if (imatrix_.empty()) return {};
    ColumnWeights columns = WeighColumns(model, types, ReadImportance(imatrix_), imatrix_);
    if (columns.used < columns.quantized) {
      out.Note("importance for " + std::to_string(columns.used) + " of " + std::to_string(columns.quantized) +
               " matrices");
    }
    return std::move(columns.weights);
  }

  uint64_t Write(const ModelFolder& model, const QuantMix& mix, const std::vector<DType>& types,
                 const std::vector<std::vector<float>>& weights, Output& out) {
    std::vector<std::string> warnings;
    GgufMetadata metadata = QuantizedMetadata(
        model, {.mix = &mix, .rules = types_.rules, .importance = fs::path(imatrix_).filename().string()}, &warnings);
    for (const std::string& warning : warnings) out.Warning(warning);
    if (name_) metadata.SetText("general.name", *name_);
    if (gate_.Asked()) gate_.SetKeys(metadata);

    const auto start = Clock::now();
    GgufWriter writer(out_path_, metadata, GgufTensors(model, types), false);
    ThreadPool pool(common.threads);
    Progress progress("quantizing", SourceBytes(model), Progress::Unit::kBytes, out.show_progress());
    CopyTensors(
        model,
        {.types = types,
         .weights = weights,
         .refuse_non_finite = true,
         .qkv_order = QkvOrder::kStacked,
         .pool = &pool,
         .progress = &progress,
         .checkpoint = ThrowIfInterrupted},
        [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); });
    progress.Finish();
    write_s_ = SecondsSince(start);
    out.Flush();
    if (gate_.Asked()) {
      gate_.RunFile(writer.temporary(), out);
      gate_.SetKeys(metadata);
      writer.ReplaceMetadata(metadata);
    }
    writer.Commit();
    return writer.FileBytes();
  }

  void Report(const ModelFolder& model, const QuantizedSize& size, uint64_t bytes, Output& out) const {
    if (out.json()) {
      JsonValue object = {{"path", out_path_},
                          {"parameters", model.config().NumParameters()},
                          {"types", TypesJson(size)},
                          {"bytes", bytes},
                          {"source_bytes", size.source_bytes},
                          {"bits_per_weight", size.BitsPerWeight()},
                          {"seconds", write_s_}};
      if (gate_.Asked()) object["check"] = gate_.Json();
      out.Json(object);
      return;
    }
    out.Text(TypesText(size) + out_path_ + ": " + HumanBytes(bytes) + ", " + Rounded(size.BitsPerWeight(), 2) +
             " bits a weight, from " + HumanBytes(size.source_bytes) + " in " + Rounded(write_s_, 1) + " s\n" +
             (gate_.Asked() ? gate_.Text() : ""));
  }

  std::string out_path_;
  std::string type_, type_argument_;  // --type, TYPE
  std::string imatrix_;
  std::optional<std::string> name_;  // --name
  TypeOptions types_;
  QualityOptions gate_;
  bool plan_only_ = false;
  double write_s_ = 0;  // without the gate's time
};

}  // namespace

std::unique_ptr<Command> MakeQuantize() { return std::make_unique<Quantize>(); }

}  // namespace stablelm
