// stablelm convert: a model from one kind of file to another, the same numbers in both.
#include <algorithm>

#include "base/error.h"
#include "base/json_value.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "checkpoint/huggingface/tokenizer_writer.h"
#include "checkpoint/huggingface/writer.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "cli/app/commands.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxCarriedBytes = size_t{256} << 20;

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
  unsigned Takes() const override { return kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "IN", "IN", in_, "A model folder, a .gguf file, or a hub id in the Hugging Face cache");
    AddText(app, "OUT", "OUT", out_path_, "The .gguf file or the folder to make");
    AddChoice(app, "--dtype", {"stored", "fp32", "fp16", "bf16"}, "Type of the matrices in OUT (default: stored)",
              [this](size_t i) {
                constexpr std::optional<DType> kTypes[] = {std::nullopt, DType::kF32, DType::kF16, DType::kBF16};
                dtype_ = kTypes[i];
              });
    AddText(app, "--name", "TEXT", name_, "Name of the model in the GGUF file (default: that of IN)");
    AddText(app, "--license", "TEXT", licence_, "Licence of the weights in the GGUF file (default: that of IN)");
    AddValue(app, "--max-shard-size", "SIZE", "Largest file of weights of a folder (default: 5GB)",
             [this](const std::string& text) { max_shard_bytes_ = ParseByteSize(text, "--max-shard-size"); });
  }

  int Run(Output& out) override {
    RequireGiven(!in_.empty(), "IN", "stablelm convert MODEL OUT");
    RequireGiven(!out_path_.empty(), "OUT", "stablelm convert MODEL model.gguf");
    const bool to_gguf = IsGgufPath(out_path_);
    if (!to_gguf && (name_ || licence_)) {
      throw UsageError({.where = name_ ? "--name" : "--license",
                        .what = "goes into a GGUF file, but OUT is a folder",
                        .expected = "an OUT that ends in .gguf"});
    }
    const auto model = ModelFolder::Open(in_);
    for (const std::string& warning : model->warnings()) out.Warning(warning);

    const InterruptGuard guard;
    const auto start = Clock::now();
    const std::vector<DType> types = to_gguf ? GgufTypes(*model) : FolderTypes(*model);
    const uint64_t bytes = to_gguf ? WriteGguf(*model, types, out) : WriteFolder(*model, types, out);
    if (Interrupted()) out.Note("the interrupt came when the work was done");
    Report(*model, to_gguf, bytes, SecondsSince(start), out);
    return kExitOk;
  }

 private:
  DType MatrixType(const StoredTensor& tensor, bool keep_quantized) const {
    const DType stored = *tensor.dtype;
    if (dtype_) return *dtype_;
    if (IsQuantized(stored)) return keep_quantized ? stored : DType::kF32;
    return stored == DType::kF64 ? DType::kF32 : stored;
  }

  // llama.cpp adds and multiplies with norms and biases in fp32 only.
  std::vector<DType> GgufTypes(const ModelFolder& model) const {
    std::vector<DType> types;
    for (size_t i = 0; i < model.table().size(); ++i) {
      types.push_back(model.table()[i].IsMatrix() ? MatrixType(model.TensorOf(i), true) : DType::kF32);
    }
    return types;
  }

  // Norms and biases get back the type that they had before a file was made of them (or else that of the matrices)
  // where that costs no bit.
  std::vector<DType> FolderTypes(const ModelFolder& model) const {
    std::vector<DType> types;
    std::optional<DType> vectors = dtype_ ? dtype_ : VectorType(model);
    for (size_t i = 0; i < model.table().size(); ++i) {
      const DType stored = *model.TensorOf(i).dtype;
      if (model.table()[i].IsMatrix()) {
        types.push_back(MatrixType(model.TensorOf(i), false));
      } else if (dtype_) {
        types.push_back(*dtype_);
      } else if (!model.source().gguf()) {
        types.push_back(stored == DType::kF64 ? DType::kF32 : stored);
      } else {
        types.push_back(vectors && IsExactAs(model, i, *vectors) ? *vectors : DType::kF32);
      }
    }
    return types;
  }

  // Of the norms and biases of the model that a GGUF file was made from.
  static std::optional<DType> VectorType(const ModelFolder& model) {
    if (const GgufFile* gguf = model.source().gguf()) {
      if (const auto name = gguf->header().Text("stablelm.vector_type")) return FloatTypeFromName(*name);
    }
    const DType first = *model.TensorOf(0).dtype;
    if (first != DType::kF16 && first != DType::kBF16) return std::nullopt;
    for (size_t i = 0; i < model.table().size(); ++i) {
      if (model.table()[i].IsMatrix() && *model.TensorOf(i).dtype != first) return std::nullopt;
    }
    return first;
  }

  void CopyAll(const ModelFolder& model, const std::vector<DType>& types, QkvOrder order, const TensorSink& sink,
               Output& out) const {
    ThreadPool pool(common.threads);
    Progress progress("converting", SourceBytes(model), Progress::Unit::kBytes, out.show_progress());
    CopyTensors(model,
                {.types = types,
                 .qkv_order = order,
                 .pool = &pool,
                 .progress = &progress,
                 .checkpoint =
                     [] {
                       if (Interrupted()) throw InterruptedExit();
                     }},
                sink);
  }

  uint64_t WriteGguf(const ModelFolder& model, const std::vector<DType>& types, Output& out) const {
    std::error_code error;
    if (fs::exists(out_path_, error)) {
      throw Error({.where = out_path_,
                   .what = "there is something of this name",
                   .hint = "choose another name, or remove it first"});
    }
    GgufMetadata metadata = MetadataOf(model, types);
    if (name_) metadata.SetText("general.name", *name_);
    if (licence_) SetLicence(*licence_, metadata);
    std::vector<GgufTensorEntry> tensors;
    for (size_t i = 0; i < types.size(); ++i) {
      tensors.push_back({GgufTensorName(model.table()[i]), types[i], model.table()[i].shape});
    }
    GgufWriter writer(out_path_, metadata, tensors);
    CopyAll(
        model, types, QkvOrder::kStacked,
        [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); },
        out);
    out.Flush();
    writer.Commit();
    return writer.FileBytes();
  }

  // What a quantized file says of its types and how they came about holds for a copy, and not for decoded weights.
  static GgufMetadata MetadataOf(const ModelFolder& model, const std::vector<DType>& types) {
    GgufMetadata metadata = GgufMetadataOf(model);
    const GgufFile* gguf = model.source().gguf();
    if (gguf && std::ranges::any_of(types, IsQuantized)) {
      GgufMetadata all;
      for (const GgufEntry& entry : gguf->header().entries) all.Copy(entry);
      all.Remove("general.alignment");
      return all;
    }
    if (gguf) {
      for (const GgufEntry& entry : gguf->header().entries) {
        if (entry.key.starts_with("stablelm.quantize.") || entry.key.starts_with("quantize.")) {
          metadata.Remove(entry.key);
        }
      }
    }
    // The embedding comes first in the table; files of mixed floats are rare and the number is for show.
    metadata.Set<uint32_t>("general.file_type", GgufFileTypeOf(types[0]));
    return metadata;
  }

  uint64_t WriteFolder(const ModelFolder& model, const std::vector<DType>& types, Output& out) const {
    FolderWriter writer(out_path_, model.config(),
                        {.dtype = types[0], .types = types, .max_shard_bytes = max_shard_bytes_});
    WriteSmallFiles(model, types[0], writer);
    CopyAll(
        model, types, QkvOrder::kPerHead,
        [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); },
        out);
    out.Flush();
    writer.Commit();
    return writer.TotalBytes();
  }

  static void WriteSmallFiles(const ModelFolder& model, DType weights, FolderWriter& writer) {
    const ModelSource& source = model.source();
    for (const CarriedFile& file : CarriedFiles()) {
      const auto text = source.ReadText(file.name, kMaxCarriedBytes);
      // The model's own config.json stays as it is where it says the right type.
      if (!text || (file.name == "config.json" && model.config().stored_dtype.value_or(weights) != weights)) continue;
      writer.WriteText(std::string(file.name), text->text);
    }
    const GgufFile* gguf = source.gguf();
    if (!gguf) return;
    const GgufHeader& header = gguf->header();
    if (source.HasTokenizer() && !header.Find("tokenizer.huggingface.json")) {
      writer.WriteText("tokenizer.json", WriteTokenizerJson(ReadGgufTokenizer(header)));
    }
    const auto licence = header.Text("general.license");
    if (licence && !header.Find("stablelm.readme")) {
      const auto line = [](std::string_view text) { return std::string(text.substr(0, text.find('\n'))); };
      std::string readme = "---\nlicense: " + line(*licence) + "\n---\n";
      if (const auto name = header.Text("general.name")) readme += "# " + line(*name) + "\n";
      if (const auto url = header.Text("general.source.url")) readme += "Source: " + line(*url) + "\n";
      writer.WriteText("README.md", readme);
    }
  }

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

  std::string in_;
  std::string out_path_;
  std::optional<DType> dtype_;
  std::optional<std::string> name_;
  std::optional<std::string> licence_;
  uint64_t max_shard_bytes_ = WriterOptions().max_shard_bytes;
};

}  // namespace

std::unique_ptr<Command> MakeConvert() { return std::make_unique<Convert>(); }

}  // namespace stablelm
