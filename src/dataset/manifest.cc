#include "dataset/manifest.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/strict_json.h"
#include "dataset/tokenizer_hash.h"

namespace stablelm {
namespace {

constexpr size_t kMostManifestBytes = size_t{256} << 20;  // files are many at times

JsonValue TokensJson(const TokenAccount& t) {
  return {{"read", t.read},
          {"added", {{"system_repeated", t.system_repeated}, {"next_turn", t.next_turn}, {"end", t.end}}},
          {"dropped",
           {{"too_long", t.too_long},
            {"user_cut", t.user_cut},
            {"left_out", t.left_out},
            {"without_targets", t.without_targets}}},
          {"written", t.written},
          {"exchanges_too_long", t.exchanges_too_long},
          {"users_cut", t.users_cut},
          {"pieces_without_targets", t.pieces_without_targets}};
}

JsonValue SourceJson(const SourceAccount& s) {
  JsonValue files = JsonValue::Array();
  for (const FileAccount& file : s.files) {
    files.push_back({{"name", file.name},
                     {"format", file.format},
                     {"bytes", file.bytes},
                     {"sha256", file.sha256},
                     {"rows", file.rows}});
  }
  JsonValue changes = JsonValue::Object();
  for (size_t i = 0; i < kTextChanges.size(); ++i) {
    if (s.changes.counts[i] > 0) changes[kTextChanges[i].name] = s.changes.counts[i];
  }
  if (s.repairs > 0) changes["encoding-repairs"] = s.repairs;
  JsonValue examples = JsonValue::Array();
  for (const DroppedRow& row : s.examples) {
    examples.push_back({{"place", row.place}, {"reason", row.reason}, {"words", row.words}});
  }
  size_t bins = s.lengths.size();
  while (bins > 0 && s.lengths[bins - 1] == 0) --bins;
  JsonValue lengths = JsonValue::Array();
  for (size_t i = 0; i < bins; ++i) {
    if (s.lengths[i] > 0) lengths.push_back({{"from", uint64_t{1} << i}, {"samples", s.lengths[i]}});
  }
  JsonValue dropped = JsonValue::Object();
  for (const auto& [reason, count] : s.dropped) dropped[reason] = count;
  JsonValue licence = nullptr;
  if (!s.licence.empty()) licence = s.licence;
  return {{"name", s.name},
          {"kind", NameOf(s.kind)},
          {"kind_from", s.kind_from},
          {"loss", NameOf(s.loss)},
          {"licence", licence},
          {"files", files},
          {"rows", s.rows},
          {"conversations", s.conversations},
          {"kept", s.kept},
          {"dropped", dropped},
          {"dropped_examples", examples},
          {"changes", changes},
          {"control_spellings", s.control_spellings},
          {"tokens", TokensJson(s.tokens)},
          {"samples", s.samples},
          {"targets", s.targets},
          {"lengths", lengths},
          {"weight",
           {{"samples_repeated", s.samples_repeated},
            {"tokens_repeated", s.tokens_repeated},
            {"samples_left_out", s.samples_left_out},
            {"tokens_left_out", s.tokens_left_out}}}};
}

JsonValue SplitJson(const SplitAccount& s) {
  return {{"conversations", s.conversations},
          {"documents", s.documents},
          {"packs", s.packs},
          {"tokens", s.tokens},
          {"targets", s.targets},
          {"lone_tokens", s.lone_tokens},
          {"fill", s.fill}};
}

[[noreturn]] void Malformed(const std::filesystem::path& path, const std::string& what) {
  throw Error({.where = path.string(),
               .what = what,
               .expected = "the manifest of prepared data",
               .hint = "`stablelm prepare RECIPE -o FOLDER` makes such a folder"});
}

using JsonKind = nlohmann::json::value_t;

void RequireMembers(const std::filesystem::path& path, const nlohmann::json& object, JsonKind kind,
                    std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (!object.is_object() || !object.contains(name) || object.at(name).type() != kind) {
      Malformed(path, "the member " + Quoted(name) + " is missing or of the wrong type");
    }
  }
}

// The members of objects whose names are open.
void RequireCounts(const std::filesystem::path& path, const nlohmann::json& object, const char* name) {
  RequireMembers(path, object, JsonKind::object, {name});
  for (const nlohmann::json& count : object.at(name)) {
    if (!count.is_number_unsigned()) Malformed(path, "a member of " + Quoted(name) + " is not a count");
  }
}

// What AccountJson writes and Manifest::json is read for.
void RequireAccount(const std::filesystem::path& path, const nlohmann::json& json) {
  RequireMembers(path, json, JsonKind::array, {"sources", "audits"});
  RequireMembers(path, json, JsonKind::object, {"splits", "overlap"});
  for (const nlohmann::json& source : json.at("sources")) {
    RequireMembers(path, source, JsonKind::string, {"name", "kind", "kind_from"});
    RequireMembers(path, source, JsonKind::number_unsigned, {"rows", "conversations", "kept", "samples", "targets"});
    RequireCounts(path, source, "dropped");
    RequireCounts(path, source, "changes");
    RequireMembers(path, source, JsonKind::object, {"tokens"});
    RequireMembers(path, source.at("tokens"), JsonKind::number_unsigned, {"written"});
  }
  for (const nlohmann::json& audit : json.at("audits")) {
    RequireMembers(path, audit, JsonKind::string, {"audit", "source", "words"});
    RequireMembers(path, audit, JsonKind::boolean, {"waived"});
  }
  RequireMembers(path, json.at("overlap"), JsonKind::array, {"not_found"});
  for (const nlohmann::json& set : json.at("overlap").at("not_found")) {
    if (!set.is_string()) Malformed(path, "a member of \"not_found\" is not a text");
  }
  RequireMembers(path, json.at("splits"), JsonKind::object, {"train", "validation"});
  for (const nlohmann::json& split : json.at("splits")) {
    RequireMembers(path, split, JsonKind::number_unsigned,
                   {"conversations", "documents", "packs", "tokens", "targets"});
  }
}

}  // namespace

JsonValue AccountJson(const PreparedData& data) {
  JsonValue sources = JsonValue::Array();
  for (const SourceAccount& source : data.sources) sources.push_back(SourceJson(source));
  JsonValue findings = JsonValue::Array();
  for (const AuditFinding& finding : data.findings) {
    findings.push_back({{"audit", NameOf(finding.audit)},
                        {"source", finding.source},
                        {"words", finding.words},
                        {"waived", finding.waived}});
  }
  return {{"sources", sources},
          {"audits", findings},
          {"overlap", {{"checked", data.overlap_checked}, {"not_found", data.overlap_not_found}}},
          {"splits", {{"train", SplitJson(data.train)}, {"validation", SplitJson(data.validation)}}}};
}

JsonValue ManifestOf(const PrepareSetup& setup, const PreparedData& data, const std::vector<ShardFile>& files) {
  JsonValue shards = JsonValue::Array();
  for (const ShardFile& file : files) {
    shards.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  }
  JsonValue manifest = JsonValue::Object();
  manifest["name"] = setup.recipe.name;
  manifest["preparation_rules"] = kPreparationRules;
  manifest["seed"] = setup.recipe.seed;
  manifest["limit"] = nullptr;  // of rows of each source, beside those that the recipe sets
  if (setup.limit) manifest["limit"] = *setup.limit;
  manifest["sequence_length"] = setup.recipe.sequence_length;
  manifest["tokenizer"] = {{"name", setup.tokenizer_from},
                           {"sha256", TokenizerHash(setup.tokenizer)},
                           {"vocabulary", setup.tokenizer.model_vocab_size()}};
  manifest["template"] = NameOf(setup.prompt_template);
  manifest["system"] = nullptr;
  if (setup.system) manifest["system"] = *setup.system;
  manifest["chat_record"] = nullptr;
  if (setup.chat_record) {
    const std::string text = WriteChatRecord(*setup.chat_record);
    manifest["chat_record"] = JsonValueOf(ParseStrictJson(text, "chat record"));
  }
  manifest.Update(AccountJson(data));
  manifest["files"] = shards;
  manifest["recipe"] = setup.recipe_yaml;
  return manifest;
}

Manifest ReadManifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kManifestFile;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) Malformed(path, "there is no such file");
  const nlohmann::json json = ParseStrictJson(ReadTextFile(path, kMostManifestBytes), path.string());
  RequireMembers(path, json, JsonKind::number_unsigned, {"preparation_rules", "sequence_length"});
  RequireAccount(path, json);
  Manifest manifest;
  try {
    manifest.name = json.at("name");
    manifest.rules = json.at("preparation_rules");
    manifest.sequence_length = json.at("sequence_length");
    manifest.tokenizer_hash = json.at("tokenizer").at("sha256");
    manifest.prompt_template = json.at("template");
    for (const nlohmann::json& source : json.at("sources")) {
      manifest.sources.push_back(source.at("name"));
      manifest.licences.push_back(source.at("licence").is_null() ? "" : source.at("licence").get<std::string>());
      std::vector<std::string>& files = manifest.files.emplace_back();
      for (const nlohmann::json& file : source.at("files")) files.push_back(file.at("name"));
    }
    for (const nlohmann::json& file : json.at("files")) {
      const std::string name = file.at("name");
      // The name is one of this folder.
      if (name.empty() || name.find('/') != std::string::npos) Malformed(path, "a file has the name " + Quoted(name));
      RequireMembers(path, file, JsonKind::number_unsigned, {"bytes"});
      manifest.shards.push_back({.name = name, .bytes = file.at("bytes"), .sha256 = file.at("sha256")});
    }
    if (const nlohmann::json& record = json.at("chat_record"); !record.is_null()) {
      manifest.chat_record = ParseChatRecord(record.dump(), path.string() + ": \"chat_record\"");
    }
  } catch (const nlohmann::json::exception&) {
    Malformed(path, "a member is missing or of the wrong type");
  }
  manifest.json = JsonValueOf(json);
  return manifest;
}

}  // namespace stablelm
