#include "dataset/verify.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/sha256.h"
#include "dataset/manifest.h"
#include "dataset/report.h"
#include "dataset/run_record.h"
#include "dataset/token_shards.h"

namespace stablelm {
namespace {

[[noreturn]] void Differs(const std::filesystem::path& path, const std::string& what, const std::string& found,
                          const std::string& expected) {
  throw Error({.where = path.string(),
               .what = what,
               .found = found,
               .expected = expected,
               .hint = "the prepared data was changed or damaged; prepare it again"});
}

void VerifyFiles(const std::filesystem::path& folder, const Manifest& manifest,
                 const std::function<void(size_t)>& on_bytes, VerifiedData& verified) {
  std::set<std::string> known = {kManifestFile, kRunFile, kReportFile};
  for (const ShardFile& file : manifest.shards) {
    const std::filesystem::path path = folder / file.name;
    known.insert(file.name);
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(path, error);
    if (error) Differs(path, "the file is missing", error.message(), std::to_string(file.bytes) + " bytes");
    if (bytes != file.bytes) {
      Differs(path, "wrong size of the file", std::to_string(bytes) + " bytes", std::to_string(file.bytes) + " bytes");
    }
    const std::string hash = Sha256HexOfFile(path, on_bytes);
    if (hash != file.sha256) Differs(path, "the file is not the one that was written", "SHA-256 " + hash, file.sha256);
    ++verified.files;
    verified.bytes += bytes;
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool data = name.ends_with(".tokens") || name.ends_with(".index");
    if (data && !known.contains(name)) {
      Differs(entry.path(), "the file is not in the manifest", name, "the files that the manifest names");
    }
  }
}

void VerifySplit(const std::filesystem::path& folder, const std::string& split, const Manifest& manifest,
                 VerifiedData& verified) {
  const std::filesystem::path path = folder / (split + ".index");
  const JsonValue& said = manifest.json.At("splits").At(split);
  if (!TokenShards::Exists(folder, split)) {
    if (said.At("packs").Whole() != 0) Differs(path, "the split is missing", "no index", "packs of " + split);
    return;
  }
  const TokenShards shards(folder, split);
  if (shards.sequence_length() != manifest.sequence_length) {
    Differs(path, "wrong sequence length", std::to_string(shards.sequence_length()),
            std::to_string(manifest.sequence_length));
  }
  std::vector<int32_t> ids;
  std::vector<uint8_t> targets;
  for (const TokenDocument& document : shards.documents()) {
    if (document.source >= manifest.sources.size() || document.file >= manifest.files[document.source].size()) {
      Differs(path, "a document has an unknown origin",
              "source " + std::to_string(document.source) + ", file " + std::to_string(document.file),
              std::to_string(manifest.sources.size()) + " sources");
    }
    ids.resize(document.length);
    targets.resize(document.length);
    shards.Read(document, ids, targets);
    const auto count = static_cast<uint32_t>(std::count(targets.begin(), targets.end(), 1));
    if (targets[0] != 0 || count != document.targets) {
      Differs(path, "the targets of a document do not fit the index", std::to_string(count),
              std::to_string(document.targets));
    }
  }
  const std::pair<const char*, uint64_t> sums[] = {{"packs", shards.packs()},
                                                   {"documents", shards.documents().size()},
                                                   {"tokens", shards.tokens()},
                                                   {"targets", shards.targets()}};
  for (const auto& [name, sum] : sums) {
    if (said.At(name).Whole() != sum) {
      Differs(path, std::string("the number of ") + name + " is not the manifest's", std::to_string(sum),
              std::to_string(said.At(name).Whole()));
    }
  }
  verified.packs += shards.packs();
  verified.documents += shards.documents().size();
  verified.tokens += shards.tokens();
  verified.targets += shards.targets();
}

}  // namespace

VerifiedData VerifyPreparedData(const std::filesystem::path& folder, const std::function<void(size_t)>& on_bytes) {
  const Manifest manifest = ReadManifest(folder);
  VerifiedData verified;
  VerifyFiles(folder, manifest, on_bytes, verified);
  for (const char* split : {kTrainSplit, kValidationSplit}) VerifySplit(folder, split, manifest, verified);
  return verified;
}

}  // namespace stablelm
