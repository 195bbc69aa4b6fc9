#include "generate/settings/model_defaults.h"

#include <algorithm>

#include "base/error.h"
#include "base/mapped_file.h"
#include "prompt/generation_config.h"

namespace stablelm {
namespace {

constexpr size_t kMaxConfigBytes = 4 << 20;
constexpr size_t kMaxRecordBytes = 1 << 20;

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

ModelDefaults ReadModelDefaults(const ModelSource& source, const ModelConfig& config, const Tokenizer* tokenizer) {
  ModelDefaults out;
  const auto add = [&](const std::string& from, SettingValues values) {
    if (!values.empty()) out.layers.push_back({.from = from, .values = std::move(values)});
  };
  const auto add_lists = [&](const std::string& from, TokenLists lists) {
    if (!lists.Any()) return;
    const std::vector<int32_t>& ends = out.generation_config_eos.empty() ? config.eos_ids : out.generation_config_eos;
    if (lists.bad_words) {
      std::erase_if(*lists.bad_words, [&](const std::vector<int32_t>& word) {
        return word.size() == 1 && std::ranges::find(ends, word[0]) != ends.end();
      });
    }
    out.token_lists.push_back({.from = from, .lists = std::move(lists)});
  };
  const auto warn = [&](std::vector<std::string>& warnings) {
    out.warnings.insert(out.warnings.end(), warnings.begin(), warnings.end());
  };
  if (tokenizer) {
    out.tuned = HasRoleTokens(*tokenizer);
    out.template_by_tokens = TemplateByTokens(*tokenizer);
    if (const auto file = source.ReadText(kChatRecordFile, kMaxRecordBytes)) {
      ChatRecord record = ParseChatRecord(file->text, file->where);
      RequireStopTokens(record, *tokenizer, file->where);
      add(file->from, record.generation);
      out.record = std::move(record);
      out.record_from = file->from;
    } else if (out.tuned) {
      // The card's temperature is the default preset, the weakest layer, so that existing files override it.
      out.record = CardChatRecord();
      out.record_from = kCardRecordFrom;
    }
  }
  try {
    if (const auto file = source.ReadText(kGenerationConfigFile, kMaxConfigBytes)) {
      GenerationConfig found = ParseGenerationConfig(file->text, file->where, config.vocab_size);
      add(file->from, std::move(found.values));
      out.generation_config_eos = std::move(found.eos_ids);
      add_lists(file->from, std::move(found.token_lists));
      warn(found.warnings);
    }
  } catch (const Error& error) {  // as in transformers, which takes its defaults then
    out.warnings.push_back(error.Line() + "; left aside");
  }
  if (const auto file = source.ReadText("config.json", kMaxConfigBytes)) {
    GenerationConfig legacy = ParseLegacyGenerationKeys(file->text, file->where, config.vocab_size);
    add(file->from, std::move(legacy.values));
    add_lists(file->from, std::move(legacy.token_lists));
    warn(legacy.warnings);
  }
  return out;
}

void TakeChatRecordOf(const std::filesystem::path& adapter, const Tokenizer* tokenizer, ModelDefaults& defaults) {
  const std::filesystem::path file = adapter / kChatRecordFile;
  std::error_code ignored;
  if (!tokenizer || !std::filesystem::exists(file, ignored)) return;
  const std::string where = file.string();
  ChatRecord record = ParseChatRecord(ReadTextFile(file, kMaxRecordBytes), where);
  RequireStopTokens(record, *tokenizer, where);
  std::erase_if(defaults.layers, [&](const SettingLayer& layer) { return layer.from == defaults.record_from; });
  if (!record.generation.empty()) {
    defaults.layers.insert(defaults.layers.begin(), {.from = where, .values = record.generation});
  }
  defaults.record = std::move(record);
  defaults.record_from = where;
}

}  // namespace stablelm
