#include "dataset/run_record.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/strict_json.h"
#include "base/system.h"
#include "dataset/manifest.h"
#include "dataset/tokenizer_hash.h"

namespace stablelm {
namespace {

constexpr size_t kMostRunBytes = size_t{256} << 20;  // it names every file

std::string TimeText(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

std::string PreparationKey(const PrepareSetup& setup, const std::vector<SourceFile>& files) {
  std::string content = std::to_string(kPreparationRules) + "\n" + setup.recipe_yaml + "\n";
  content += TokenizerHash(setup.tokenizer) + " " + std::to_string(setup.tokenizer.model_vocab_size()) + "\n";
  content += std::string(NameOf(setup.prompt_template)) + "\n" + setup.system.value_or("(none)") + "\n";
  content += Joined(setup.stop_tokens) + "\n" + std::to_string(setup.limit.value_or(~uint64_t{0})) + "\n";
  if (setup.chat_record) content += WriteChatRecord(*setup.chat_record);
  for (const SourceFile& file : files) {
    const auto time = std::filesystem::last_write_time(file.path).time_since_epoch();
    content += file.name + "\n" + std::filesystem::absolute(file.path).string() + "\n" +
               std::to_string(std::filesystem::file_size(file.path)) + " " +
               std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count()) + "\n";
  }
  return Sha256Hex(content);
}

bool HoldsPreparation(const std::filesystem::path& folder, const std::string& key) {
  try {
    const nlohmann::json run = ParseStrictJson(ReadTextFile(folder / kRunFile, kMostRunBytes), kRunFile);
    if (!run.is_object() || run.value("content_key", "") != key) return false;
    for (const ShardFile& file : ReadManifest(folder).shards) {
      if (std::filesystem::file_size(folder / file.name) != file.bytes) return false;
    }
    return true;
  } catch (const std::exception&) {
    return false;  // no such files: not a preparation
  }
}

std::string TokenizerPathOf(const std::filesystem::path& folder) {
  try {
    const nlohmann::json run = ParseStrictJson(ReadTextFile(folder / kRunFile, kMostRunBytes), kRunFile);
    return run.is_object() ? run.value("tokenizer", "") : "";
  } catch (const std::exception&) {
    return {};
  }
}

JsonValue StepsJson(const PreparedData& data) {
  JsonValue steps = JsonValue::Object();
  for (size_t i = 0; i < kPrepareSteps.size(); ++i) steps[kPrepareSteps[i]] = data.step_seconds[i];
  return steps;
}

JsonValue RunWatch::Json(const PrepareSetup& setup, const PreparedData& data, const std::vector<SourceFile>& files,
                         const std::string& key) const {
  JsonValue run = JsonValue::Object();
  const auto end = std::chrono::system_clock::now();
  run["content_key"] = key;
  run["start"] = TimeText(start_);
  run["seconds"] = std::chrono::duration<double>(end - start_).count();
  run["step_seconds"] = StepsJson(data);
  run["temporary_bytes"] = data.temporary_bytes;
  run["resumed_rows"] = data.resumed_rows;
  run["processor"] = CpuModelName();
  run["threads"] = setup.threads;
  run["tokenizer"] = std::filesystem::absolute(setup.tokenizer_path).lexically_normal().string();
  JsonValue paths = JsonValue::Array();
  for (const SourceFile& file : files) paths.push_back(std::filesystem::absolute(file.path).string());
  run["files"] = paths;
  return run;
}

}  // namespace stablelm
