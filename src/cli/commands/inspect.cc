// stablelm inspect: describes a model folder, a GGUF file or a LoRA adapter without loading it.
#include <cstdio>
#include <span>

#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/number_text.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/system.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/quantize_on_load.h"
#include "checkpoint/torch/torch_file.h"
#include "cli/app/bundled_model.h"
#include "cli/app/command.h"
#include "cli/app/options.h"
#include "cli/app/wrapped_text.h"
#include "cli/commands/inspect_adapter.h"
#include "eval/quality.h"
#include "generate/settings/model_defaults.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

const char* ActivationName(Activation activation) { return activation == Activation::kGeluErf ? "erf" : "tanh"; }

// "fp16", or "fp16 and fp32" for mixed types; skips ignored buffers.
std::string TypesOf(const ModelFolder& model) {
  std::vector<std::string> types;
  for (size_t i = 0; i < model.table().size(); ++i) {
    const std::string type = model.TensorOf(i).TypeName();
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  }
  std::string text;
  for (size_t i = 0; i < types.size(); ++i) text += (i == 0 ? "" : i + 1 == types.size() ? " and " : ", ") + types[i];
  return text;
}

// The value of a GGUF key as JSON: type and size of an array, beginning of a long string.
JsonValue ShownValue(const GgufHeader& header, const GgufEntry& entry) {
  constexpr size_t kLongest = 200;
  if (entry.type == GgufType::kF32) return *header.Real(entry.key);
  return std::visit(
      [](const auto& value) -> JsonValue {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, GgufArray>) {
          return "array of " + std::to_string(value.size) + " " + std::string(NameOf(value.type));
        } else if constexpr (std::is_same_v<T, std::string_view>) {
          if (value.size() <= kLongest) return std::string(value);
          return std::string(value.substr(0, kLongest)) + "... (" + Counted(value.size(), "byte") + ")";
        } else {
          return value;
        }
      },
      entry.value);
}

// The same as text: strings in quotes.
std::string TextOf(const GgufHeader& header, const GgufEntry& entry, size_t max_bytes) {
  const JsonValue value = ShownValue(header, entry);
  return value.IsText() && entry.type == GgufType::kString ? Quoted(value.Text(), max_bytes)
         : value.IsText()                                  ? value.Text()
                                                           : value.Dump();
}

// A space for each line end and the blanks after it.
std::string InOneLine(std::string_view text) {
  std::string line;
  bool indented = false;
  for (const char c : text) {
    indented = c == '\n' || (indented && c == ' ');
    if (c == '\n') line += ' ';
    if (!indented) line += c;
  }
  return line;
}

// The result of `quantize --check` in one line.
std::string CheckText(const QualityRecord& record) {
  const Quality& q = record.quality;
  char text[320];
  std::snprintf(
      text, sizeof text,
      "KL divergence %.5f (99 %% at most %.5f), same first choice %.2f %%, perplexity %.4f against %.4f, on %llu "
      "tokens of ",
      q.mean_kl, q.p99_kl, 100 * q.same_first, q.perplexity, q.source_perplexity,
      static_cast<unsigned long long>(q.tokens));
  return text + Quoted(record.text);
}

// Invalid keys only cause a warning: reading the model does not need them.
std::optional<QualityRecord> CheckOf(const GgufHeader& header, std::vector<std::string>* warnings) {
  try {
    return ReadQualityKeys(header);
  } catch (const Error& error) {
    if (warnings) warnings->push_back(error.what());
    return std::nullopt;
  }
}

class Inspect : public Command {
 public:
  std::string Name() const override { return "inspect"; }
  std::string Summary() const override { return "Show what a model folder, a GGUF file or a LoRA adapter holds"; }
  std::string Examples() const override {
    return "  stablelm inspect ./stablelm-tuned-alpha-3b\n"
           "  stablelm inspect stabilityai/stablelm-tuned-alpha-3b --tensors\n"
           "  stablelm inspect ./model --hash --json\n"
           "  stablelm inspect stablelm-3b.gguf --keys\n"
           "  stablelm inspect runs/lora/best";
  }
  unsigned Takes() const override { return kTakesModelFirst; }
  void AddOptions(CLI::App& app) override {
    AddFlag(app, "--tensors", tensors_, "List every tensor with type, shape, file and offset");
    AddFlag(app, "--keys", keys_, "List every key of a GGUF file with its type and value");
    AddFlag(app, "--hash", hash_, "SHA-256 of every file; checks the checksums inside PyTorch files");
  }

  int Run(Output& out) override {
    if (common.model.empty()) {
      RequireGiven(false, "MODEL", "give a model folder, a .gguf file or a hub id" + WhereBundledModelIs());
    }
    if (IsAdapterFolder(common.model)) {
      InspectAdapter(common.model, tensors_, out);
      return kExitOk;
    }
    const auto model = ModelFolder::Open(common.model);
    std::vector<std::string> warnings = model->warnings();
    const auto warn = [&](std::span<const std::string> more) {
      warnings.insert(warnings.end(), more.begin(), more.end());
    };
    std::optional<Tokenizer> loaded;
    std::optional<TokenizerSummary> tokenizer;
    const ModelSource& source = model->source();
    if (source.HasTokenizer()) {
      try {
        loaded = source.ReadTokenizer({.model_vocab_size = model->config().vocab_size});
        tokenizer = loaded->Summary();
        warn(loaded->warnings());
      } catch (const Error& error) {
        warnings.push_back(error.Line() + "; text cannot be read or written, ids can");
      }
    } else {
      warnings.push_back(source.path().string() + (source.gguf() ? ": no tokenizer" : ": no tokenizer.json") +
                         ": text cannot be read or written, ids can");
    }
    // What `generate` and `chat` would refuse is refused here.
    warn(ReadModelDefaults(source, model->config(), loaded ? &*loaded : nullptr).warnings);
    if (const GgufFile* gguf = source.gguf()) CheckOf(gguf->header(), &warnings);
    const std::vector<JsonValue> files = Files(*model, out);
    if (out.json()) {
      PrintJson(*model, files, tokenizer, warnings, out);
    } else {
      PrintText(*model, files, tokenizer, out);
      for (const std::string& warning : warnings) out.Warning(warning);
    }
    return kExitOk;
  }

 private:
  // One object per file that the program reads, with its hash if --hash is given.
  std::vector<JsonValue> Files(const ModelFolder& model, const Output& out) const {
    std::vector<JsonValue> files;
    uint64_t total = 0;
    const auto add = [&](const std::string& name, uint64_t bytes, const char* format) -> JsonValue& {
      total += bytes;
      files.push_back({{"name", name}, {"format", format}, {"bytes", bytes}});
      return files.back();
    };
    const fs::path folder = model.source().gguf() ? model.path().parent_path() : model.path();
    if (!model.source().gguf()) {
      add("config.json", fs::file_size(folder / "config.json"), "json");
      const fs::path tokenizer = folder / "tokenizer.json";
      if (fs::is_regular_file(tokenizer)) add("tokenizer.json", fs::file_size(tokenizer), "json");
    }
    for (const WeightFile& file : model.files()) {
      add(file.name, file.map->size(), NameOf(file.format))["tensors"] = file.tensors.size();
    }
    if (!hash_) return files;
    Progress progress("Hashing", total, Progress::Unit::kBytes, out.show_progress());
    for (JsonValue& file : files) {
      const fs::path path = folder / file.At("name").Text();
      file["sha256"] = Sha256HexOfFile(path, [&](size_t bytes) { progress.Add(bytes); });
    }
    for (const WeightFile& file : model.files()) {
      if (file.format == WeightFormat::kTorchZip) CheckTorchStorages(file.map->bytes(), file.map->path().string());
    }
    return files;
  }

  static uint64_t WeightBytes(const ModelFolder& model) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < model.table().size(); ++i) bytes += model.TensorOf(i).bytes;
    return bytes;
  }

  void PrintJson(const ModelFolder& model, const std::vector<JsonValue>& files,
                 const std::optional<TokenizerSummary>& tokenizer, const std::vector<std::string>& warnings,
                 Output& out) const {
    const ModelConfig& c = model.config();
    JsonValue object;
    object["path"] = model.path().string();
    object["config"] = {{"vocab_size", c.vocab_size},
                        {"hidden_size", c.hidden_size},
                        {"layers", c.n_layers},
                        {"heads", c.n_heads},
                        {"head_size", c.head_dim()},
                        {"intermediate_size", c.intermediate_size},
                        {"context", c.max_positions},
                        {"rotary_dims", c.rotary_dims},
                        {"rotary_share", c.rotary_share},
                        {"rotary_base", c.rotary_base},
                        {"layer_norm_eps", c.layer_norm_eps},
                        {"hidden_act", c.hidden_act},
                        {"gelu", ActivationName(c.activation)},
                        {"parallel_residual", c.parallel_residual},
                        {"tie_word_embeddings", c.tie_word_embeddings},
                        {"bos_id", c.bos_id},
                        {"eos_ids", c.eos_ids}};
    object["parameters"] = c.NumParameters();
    object["weight_bytes"] = WeightBytes(model);
    object["types"] = TypesOf(model);
    object["files"] = files;
    if (const GgufFile* gguf = model.source().gguf()) {
      JsonValue keys = JsonValue::Object();
      for (const GgufEntry& entry : gguf->header().entries) {
        keys[std::string(entry.key)] = {{"type", NameOf(entry.type)}, {"value", ShownValue(gguf->header(), entry)}};
      }
      object["gguf"] = {{"version", gguf->header().version}, {"alignment", gguf->header().alignment}, {"keys", keys}};
    }
    if (tensors_) {
      JsonValue list = JsonValue::Array();
      for (const WeightFile& file : model.files()) {
        for (const StoredTensor& tensor : file.tensors) {
          JsonValue item = {{"name", tensor.name},
                            {"dtype", tensor.TypeName()},
                            {"shape", tensor.shape.dims()},
                            {"file", file.name},
                            {"offset", tensor.offset},
                            {"bytes", tensor.bytes},
                            {"ignored", IsIgnoredBuffer(tensor.name)}};
          if (!tensor.contiguous()) item["strides"] = tensor.strides;
          list.push_back(std::move(item));
        }
      }
      object["tensors"] = std::move(list);
    }
    object["tokenizer"] = nullptr;
    if (tokenizer) {
      object["tokenizer"] = {{"size", tokenizer->size},
                             {"merges", tokenizer->merges},
                             {"added_tokens", tokenizer->added_tokens},
                             {"special_tokens", tokenizer->special_tokens},
                             {"largest_id", tokenizer->largest_id},
                             {"nfc", tokenizer->nfc}};
    }
    object["warnings"] = warnings;
    out.Json(object);
  }

  void PrintText(const ModelFolder& model, const std::vector<JsonValue>& files,
                 const std::optional<TokenizerSummary>& tokenizer, Output& out) const {
    const ModelConfig& c = model.config();
    const auto line = [&](const char* label, const std::string& text) {
      char start[32];
      std::snprintf(start, sizeof start, "%-12s", label);
      PrintWrapped(out, start + text + "\n");
    };
    const auto number = [](double value) { return JsonValue(value).Dump(); };
    line("model", model.path().string());
    if (const GgufFile* gguf = model.source().gguf()) PrintKeys(gguf->header(), line);
    line("parameters", Grouped(static_cast<uint64_t>(c.NumParameters())) + ", " + HumanBytes(WeightBytes(model)) +
                           " as " + TypesOf(model));
    if (const std::vector<DType> types = DecodeOnlyTypes(model); !types.empty()) {
      std::vector<std::string> names;
      for (const DType type : types) names.emplace_back(NameOf(type));
      line("in memory", "decoded while loading: " + Joined(names) + " (into Q8_0, or as --dtype or --quantize says)");
    }
    line("shape", Counted(c.n_layers, "layer") + ", width " + std::to_string(c.hidden_size) + ", " +
                      Counted(c.n_heads, "head") + " of " + std::to_string(c.head_dim()) + ", MLP " +
                      std::to_string(c.intermediate_size) + ", vocabulary " + std::to_string(c.vocab_size));
    line("context", std::to_string(c.max_positions) + " positions; rotary on " + std::to_string(c.rotary_dims) +
                        " dimensions of each head, base " + number(c.rotary_base));
    line("block", std::string(c.parallel_residual ? "parallel" : "sequential") + " residual, " + c.hidden_act + " (" +
                      ActivationName(c.activation) + "), layer norm epsilon " + number(c.layer_norm_eps) +
                      (c.tie_word_embeddings ? ", output tied to the embedding" : ""));
    std::string ends;
    for (const int32_t id : c.eos_ids) ends += (ends.empty() ? "" : " ") + std::to_string(id);
    line("end ids", ends);
    if (tokenizer) {
      line("tokenizer", Counted(tokenizer->size, "token") + ", " + std::to_string(tokenizer->merges) + " merges, " +
                            std::to_string(tokenizer->added_tokens) + " added (" +
                            std::to_string(tokenizer->special_tokens) + " special)" + (tokenizer->nfc ? ", NFC" : ""));
    }
    for (const JsonValue& file : files) {
      std::string text = file.At("name").Text() + ", " + HumanBytes(file.At("bytes").Whole());
      if (file.Contains("tensors")) {
        text += ", " + file.At("format").Text() + ", " + std::to_string(file.At("tensors").Whole()) + " tensors";
      }
      if (file.Contains("sha256")) text += "\n            sha256 " + file.At("sha256").Text();
      line("file", text);
    }
    if (!tensors_) return;
    for (const WeightFile& file : model.files()) {
      for (const StoredTensor& tensor : file.tensors) {
        line("tensor", tensor.name + " " + tensor.TypeName() + " " + tensor.shape.ToString() + " at byte " +
                           std::to_string(tensor.offset) + " of " + file.name +
                           (IsIgnoredBuffer(tensor.name) ? " (ignored buffer)" : "") +
                           (tensor.contiguous() ? "" : " (strided view)"));
      }
    }
  }

  // Prints the keys that people ask for; with --keys, all keys.
  template <typename Line>
  void PrintKeys(const GgufHeader& header, const Line& line) const {
    constexpr std::pair<const char*, const char*> kShown[] = {{"name", "general.name"},
                                                              {"licence", "general.license"},
                                                              {"source", "general.source.url"},
                                                              {"chat", "stablelm.chat"}};
    for (const auto& [label, key] : kShown) {
      if (const GgufEntry* entry = header.Find(key); entry && entry->type == GgufType::kString) {
        line(label, Quoted(InOneLine(std::get<std::string_view>(entry->value)), 120));
      }
    }
    if (const auto record = CheckOf(header, nullptr)) line("check", CheckText(*record));
    if (!keys_) return;
    for (const GgufEntry& entry : header.entries) {
      line("key", std::string(entry.key) + " " +
                      (entry.type == GgufType::kArray ? "" : std::string(NameOf(entry.type)) + " ") +
                      TextOf(header, entry, 200));
    }
  }

  bool tensors_ = false;
  bool keys_ = false;
  bool hash_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeInspect() { return std::make_unique<Inspect>(); }

}  // namespace stablelm
