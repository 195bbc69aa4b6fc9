// The quality gate of `stablelm quantize`: how far the written file is from the model that it was made of, on a text.
//
// One model at a time is in memory: the source runs first and leaves its logits in a file without a name beside the one
// that is written; the quantized file runs before it gets its name, so that what is refused never appears.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "checkpoint/model_folder.h"
#include "cli/app/command.h"
#include "eval/logits_file.h"
#include "eval/quality.h"

namespace stablelm {

// One thread. Calls in this order: AddOptions, RequireUsage, and when Asked: RunSource, SetKeys, RunFile, SetKeys.
class QualityGate {
 public:
  void AddOptions(CLI::App& app);
  // Throws UsageError: options of the gate without --check.
  void RequireUsage() const;
  bool Asked() const { return !text_.empty(); }

  // Tokenizes the text, refuses what will not fit into memory or on disk, and runs the source model. `types` are those
  // of the file to come; `folder` is where it will be. Throws InterruptedExit.
  void RunSource(std::shared_ptr<const ModelFolder> source, const std::vector<DType>& types,
                 const std::filesystem::path& folder, const CommonOptions& common, Output& out);
  // Runs the written file. Throws Error when it is further from the source than --max-kl allows, the numbers printed
  // first; InterruptedExit.
  void RunFile(const std::filesystem::path& file, const CommonOptions& common, Output& out);
  // The same bytes before and after RunFile.
  void SetKeys(GgufMetadata& metadata) const { SetQualityKeys(record_, metadata); }

  JsonValue Json() const;
  std::string Text() const;  // lines

 private:
  std::string text_;  // --check
  int64_t tokens_ = 2048;
  std::optional<double> max_kl_;

  std::vector<int32_t> ids_;
  std::optional<LogitsFile> logits_;
  QualityRecord record_;
};

}  // namespace stablelm
