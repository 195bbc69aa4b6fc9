#include "train/validation.h"

#include <algorithm>

#include "base/counted.h"
#include "base/error.h"

namespace stablelm {

int64_t ValidationResult::LossTokens() const {
  int64_t tokens = 0;
  for (const SourceLoss& source : sources) tokens += source.loss_tokens;
  return tokens;
}

double ValidationResult::Mean() const {
  double sum = 0;
  for (const SourceLoss& source : sources) sum += source.sum;
  return sum / static_cast<double>(std::max<int64_t>(1, LossTokens()));
}

JsonValue ValidationJson(const ValidationResult& result) {
  JsonValue sources = JsonValue::Object();
  for (const SourceLoss& source : result.sources) {
    sources[source.source] = {{"loss", source.Mean()}, {"loss_tokens", source.loss_tokens}};
  }
  return {{"event", "validation"},
          {"loss", result.Mean()},
          {"loss_tokens", result.LossTokens()},
          {"sources", std::move(sources)}};
}

std::optional<Validation> Validation::Open(const std::filesystem::path& data, const Manifest& manifest, uint64_t rows) {
  if (!TokenShards::Exists(data, kValidationSplit)) return std::nullopt;
  TokenShards shards(data, kValidationSplit);
  if (shards.targets() == 0) return std::nullopt;
  for (const TokenDocument& document : shards.documents()) {
    if (document.source < manifest.sources.size()) continue;
    throw Error({.where = (data / kManifestFile).string(),
                 .what = "does not belong to the validation split",
                 .found = Counted(manifest.sources.size(), "source"),
                 .expected = "more than " + std::to_string(document.source),
                 .hint = "prepare the data again"});
  }
  return Validation(std::move(shards), manifest.sources, rows);
}

uint64_t Validation::MostTokens() const {
  return std::min(rows_, packs()) * static_cast<uint64_t>(shards_.sequence_length());
}

uint64_t Validation::MostDocuments() const {
  uint64_t most = 0;
  for (uint64_t pack = 0; pack < packs(); ++pack) most = std::max<uint64_t>(most, shards_.Pack(pack).size());
  return rows_ * most;
}

ValidationResult Validation::Run(GradientPass& pass, const PassHooks& hooks) const {
  std::vector<SourceLoss> losses(sources_.size());
  for (size_t s = 0; s < sources_.size(); ++s) losses[s].source = sources_[s];
  BatchBuffer buffer;
  for (uint64_t first = 0; first < packs(); first += rows_) {
    std::vector<uint64_t> numbers;
    for (uint64_t pack = first; pack < std::min(first + rows_, packs()); ++pack) numbers.push_back(pack);
    const TrainBatch batch = ReadPacks(shards_, numbers, buffer);
    const std::span<const double> all = pass.Losses(batch, hooks);
    size_t next = 0;
    size_t document = shards_.FirstDocument(first);
    for (const TrainDocument& of_batch : batch) {
      const int64_t targets = CountTargets({&of_batch, 1});
      SourceLoss& source = losses[shards_.documents()[document++].source];
      source.loss_tokens += targets;
      for (int64_t i = 0; i < targets; ++i) source.sum += all[next++];
    }
  }
  ValidationResult result;
  for (SourceLoss& source : losses) {
    if (source.loss_tokens > 0) result.sources.push_back(std::move(source));
  }
  return result;
}

}  // namespace stablelm
