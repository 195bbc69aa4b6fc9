#include "generate/model_defaults.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "generate/generation_config.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfigBytes = 4 << 20;

void RequireStopTokens(const ChatRecord& record, const Tokenizer& tokenizer, const std::string& where) {
  for (const std::string& spelling : record.stop_tokens) {
    if (tokenizer.TokenId(spelling)) continue;
    throw Error({.where = where + ": \"stop_tokens\"",
                 .what = "the tokenizer has no such token",
                 .found = Quoted(spelling),
                 .expected = "the spelling of a token of tokenizer.json",
                 .hint = "the chat record belongs to another model"});
  }
}

}  // namespace

ModelDefaults ReadModelDefaults(const fs::path& folder, const ModelConfig& config, const Tokenizer* tokenizer) {
  ModelDefaults out;
  const auto add = [&](const char* from, SettingValues values) {
    if (!values.empty()) out.layers.push_back({.from = from, .values = std::move(values)});
  };
  const auto warn = [&](std::vector<std::string>& warnings) {
    out.warnings.insert(out.warnings.end(), warnings.begin(), warnings.end());
  };
  std::error_code ignored;
  if (tokenizer) {
    out.tuned = HasRoleTokens(*tokenizer);
    if (std::optional<ChatRecord> record = ReadChatRecordOf(folder)) {
      RequireStopTokens(*record, *tokenizer, (folder / kChatRecordFile).string());
      add(kChatRecordFile, record->generation);
      out.record = std::move(record);
      out.record_from = kChatRecordFile;
    } else if (out.tuned) {
      // Its temperature is that of the default preset, the weakest layer: files that are there count for more.
      out.record = CardChatRecord();
      out.record_from = "the model card";
    }
  }
  if (const fs::path file = folder / kGenerationConfigFile; fs::exists(file, ignored)) {
    GenerationConfig found =
        ParseGenerationConfig(ReadTextFile(file, kMaxConfigBytes), file.string(), config.vocab_size);
    add(kGenerationConfigFile, std::move(found.values));
    out.generation_config_eos = std::move(found.eos_ids);
    warn(found.warnings);
  }
  const fs::path config_file = folder / "config.json";
  GenerationConfig legacy = ParseLegacyGenerationKeys(ReadTextFile(config_file, kMaxConfigBytes), config_file.string());
  add("config.json", std::move(legacy.values));
  warn(legacy.warnings);
  return out;
}

}  // namespace stablelm
