// The quality gate of a quantized file: how far it is from the model that it was made of, on a text.
//
// One model at a time is in memory: the source runs first and leaves its logits in a file without a name beside the one
// that is written; the quantized file runs before it gets its name, so that what is refused never appears.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/model_folder.h"
#include "eval/logits_file.h"
#include "eval/quality.h"

namespace stablelm {

struct QualityText {
  std::string name;  // for errors
  std::string utf8;
  int64_t most_tokens = 2048;  // the text's first ones; the logits take 4 bytes of disk for each and every id
};

struct QualityRun {
  size_t threads = 1;
  bool show_progress = false;
  const std::atomic<bool>* cancel = nullptr;  // may be null; set, the run throws Cancelled
};

// One thread. Calls in this order: RunSource, SetKeys, RunFile, SetKeys.
class QualityGate {
 public:
  explicit QualityGate(const QualityRun& run) : run_(run) {}

  // Tokenizes the text, refuses what will not fit into memory or on disk, and runs the source model. `types` are those
  // of the file to come; `folder` is where it will be. Throws Error and Cancelled.
  void RunSource(std::shared_ptr<const ModelFolder> source, const std::vector<DType>& types,
                 const std::filesystem::path& folder, const QualityText& text);
  // Runs the written file: the quality in the record is that. Throws Error and Cancelled.
  void RunFile(const std::filesystem::path& file);
  // The same bytes before and after RunFile.
  void SetKeys(GgufMetadata& metadata) const { SetQualityKeys(record_, metadata); }
  const QualityRecord& record() const { return record_; }

 private:
  QualityRun run_;
  std::vector<int32_t> ids_;
  std::optional<LogitsFile> logits_;
  QualityRecord record_;
};

// Throws Error when the mean KL divergence is larger than `max_kl` (nats).
void RequireQuality(const Quality& quality, double max_kl);

}  // namespace stablelm
