// The quality gate's options of `stablelm quantize` (eval/quality_gate.h), and its result as text and JSON.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "checkpoint/model_folder.h"
#include "cli/app/command.h"
#include "eval/quality_gate.h"

namespace stablelm {

// One thread. Call in this order: AddOptions, RequireUsage, and when Asked: RunSource, SetKeys, RunFile, SetKeys.
class QualityOptions {
 public:
  void AddOptions(CLI::App& app);
  // Throws UsageError when the gate's options are given without --check.
  void RequireUsage() const;
  bool Asked() const { return !text_.empty(); }

  // Like QualityGate::RunSource, with --check's text. Throws InterruptedExit.
  void RunSource(std::shared_ptr<const ModelFolder> source, const std::vector<DType>& types,
                 const std::filesystem::path& folder, const CommonOptions& common, Output& out);
  // Throws Error, after printing the results, when the file's mean KL divergence exceeds --max-kl. Throws
  // InterruptedExit.
  void RunFile(const std::filesystem::path& file, Output& out);
  void SetKeys(GgufMetadata& metadata) const { gate_->SetKeys(metadata); }

  JsonValue Json() const;
  std::string Text() const;  // several lines

 private:
  std::string text_;  // --check
  int64_t tokens_ = QualityText().most_tokens;
  std::optional<double> max_kl_;
  std::optional<QualityGate> gate_;
};

}  // namespace stablelm
