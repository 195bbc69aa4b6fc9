// Quality gate of a quantized file: measures its divergence from the source model on a text.
//
// One model at a time is in memory. The source model runs first and saves its logits to an unnamed file in the folder
// of the output. The quantized file runs before it gets its final name, so a rejected file never appears.
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
  int64_t most_tokens = 2048;  // uses the first tokens of the text; logits take 4 V bytes of disk per token
};

struct QualityRun {
  size_t threads = 1;
  bool show_progress = false;
  const std::atomic<bool>* cancel = nullptr;  // may be null; once set, the run throws Cancelled
};

// One thread. Call in this order: RunSource, SetKeys, RunFile, SetKeys.
class QualityGate {
 public:
  explicit QualityGate(const QualityRun& run) : run_(run) {}

  // Tokenizes the text, checks that memory and disk suffice for both runs, and runs the source model. `types` and
  // `folder` are those of the file to be written. Throws Error and Cancelled.
  void RunSource(std::shared_ptr<const ModelFolder> source, const std::vector<DType>& types,
                 const std::filesystem::path& folder, const QualityText& text);
  // Runs the written file and sets the quality in the record. Throws Error and Cancelled.
  void RunFile(const std::filesystem::path& file);
  // Takes the same number of bytes before and after RunFile.
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
