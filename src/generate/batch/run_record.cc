#include "generate/batch/run_record.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/strict_json.h"
#include "prompt/chat_record.h"
#include "prompt/generation_config.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Texts = std::map<std::string, std::string>;

constexpr size_t kMaxBytes = size_t{16} << 20;
constexpr size_t kMostShown = 6;  // differences listed in an error

JsonValue ParametersAsJson(const Texts& parameters) {
  JsonValue object = JsonValue::Object();
  for (const auto& [name, value] : parameters) object.Append(name, JsonValueOf(ParseStrictJson(value, name)));
  return object;
}

class Reader {
 public:
  Reader(const Json& root, std::string where) : root_(root), where_(std::move(where)) {}

  const Json& Key(const char* key, bool right_kind(const Json&), const char* expected) const {
    const auto it = root_.is_object() ? root_.find(key) : root_.end();
    if (it != root_.end() && right_kind(*it)) return *it;
    throw Error({.where = where_ + ": " + Quoted(key),
                 .what = "this is no record of a run",
                 .found = it == root_.end() ? "nothing" : ShownJson(*it),
                 .expected = expected,
                 .hint = "remove it together with the output file to begin anew, or name another `output`"});
  }
  const Json& Object(const char* key) const {
    return Key(
        key, [](const Json& value) { return value.is_object(); }, "an object");
  }
  Texts Strings(const char* key) const {
    Texts texts;
    for (const auto& [name, value] : Object(key).items()) {
      texts[name] = value.is_string() ? value.get<std::string>() : JsonText(value);
    }
    return texts;
  }

 private:
  const Json& root_;
  std::string where_;
};

// Collects the differences between two runs, as "found" and "expected" of an error.
class Differences {
 public:
  void Compare(const std::string& name, const std::string& begun, const std::string& now) {
    if (begun == now) return;
    if (++count_ > kMostShown) return;
    Add(begun_, name, begun);
    Add(now_, name, now);
  }
  void Compare(const std::string& prefix, const Texts& begun, const Texts& now) {
    Texts all = begun;
    all.insert(now.begin(), now.end());
    const auto shown = [](const Texts& texts, const std::string& name) {
      const auto found = texts.find(name);
      return found == texts.end() ? std::string("none") : found->second;
    };
    for (const auto& [name, value] : all) Compare(prefix + name, shown(begun, name), shown(now, name));
  }
  void RequireNone(const fs::path& output) const {
    if (count_ == 0) return;
    const std::string more = count_ > kMostShown ? " and " + std::to_string(count_ - kMostShown) + " more" : "";
    const std::string record = RunRecordPath(output).string();
    throw Error({.where = record,
                 .what = "the run that began " + output.string() + " had other settings",
                 .found = now_ + more,
                 .expected = begun_,
                 .hint = "go on with the same settings, name another `output`, or remove " + output.string() + " and " +
                         record + " to begin anew"});
  }

 private:
  static void Add(std::string& list, const std::string& name, const std::string& value) {
    constexpr size_t kMost = 60;
    if (!list.empty()) list += ", ";
    list += name + " " + value.substr(0, kMost);
    if (value.size() > kMost) list += "...";
  }
  std::string begun_, now_;
  size_t count_ = 0;
};

struct NamedFile {
  std::string name;
  fs::path path;
};

std::vector<NamedFile> ModelFiles(const ModelFolder& model) {
  const fs::path& path = model.path();
  std::vector<NamedFile> files;
  for (const GgufFile& part : model.source().gguf_parts())
    files.push_back({part.path().filename().string(), part.path()});
  if (!files.empty()) return files;
  std::error_code ignored;
  for (const char* name : {"config.json", kGenerationConfigFile, kChatRecordFile, "tokenizer.json"}) {
    if (fs::exists(path / name, ignored)) files.push_back({name, path / name});
  }
  for (const WeightFile& file : model.files()) files.push_back({file.name, path / file.name});
  return files;
}

}  // namespace

fs::path RunRecordPath(const fs::path& output) { return output.string() + ".run.json"; }

std::optional<RunRecord> ReadRunRecord(const fs::path& output) {
  const fs::path path = RunRecordPath(output);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  const Json root = ParseStrictJson(ReadTextFile(path, kMaxBytes), path.string());
  const Reader reader(root, path.string());
  RunRecord record;
  record.seed = reader
                    .Key(
                        "seed", [](const Json& value) { return value.is_number_unsigned(); }, "a whole number")
                    .get<uint64_t>();
  for (const auto& [name, value] : reader.Object("parameters").items()) record.parameters[name] = JsonText(value);
  record.model = reader.Strings("model");
  record.input = reader
                     .Key(
                         "input", [](const Json& value) { return value.is_string(); }, "a SHA-256")
                     .get<std::string>();
  record.program = reader.Strings("program");
  return record;
}

void WriteRunRecord(const fs::path& output, const RunRecord& record) {
  const JsonValue object = {{"seed", record.seed},
                            {"parameters", ParametersAsJson(record.parameters)},
                            {"model", record.model},
                            {"input", record.input},
                            {"program", record.program}};
  WriteTextFileAtomically(RunRecordPath(output), object.Dump(2) + "\n");
}

void RequireSameRun(const RunRecord& begun, const RunRecord& now, const fs::path& output) {
  Differences differences;
  differences.Compare("input", begun.input, now.input);
  differences.Compare("model ", begun.model, now.model);
  differences.Compare("seed", std::to_string(begun.seed), std::to_string(now.seed));
  differences.Compare("", begun.parameters, now.parameters);
  differences.RequireNone(output);
}

Texts HashModelFiles(const ModelFolder& model, const std::function<void(size_t)>& on_bytes) {
  Texts hashes;
  for (const NamedFile& file : ModelFiles(model)) hashes[file.name] = Sha256HexOfFile(file.path, on_bytes);
  return hashes;
}

uint64_t BytesOfModelFiles(const ModelFolder& model) {
  uint64_t bytes = 0;
  for (const NamedFile& file : ModelFiles(model)) bytes += fs::file_size(file.path);
  return bytes;
}

}  // namespace stablelm
