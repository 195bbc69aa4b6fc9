// run.json: when, where and from which files a folder was prepared; and whether it is this very preparation.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "dataset/prepare.h"
#include "dataset/source_files.h"

namespace stablelm {

inline constexpr const char* kRunFile = "run.json";

// SHA-256 of everything that the output depends on, with the sizes and times of the files in place of their bytes.
// `files`: all that are read, those of evaluation sets too.
std::string PreparationKey(const PrepareSetup& setup, const std::vector<SourceFile>& files);

// Whether `folder` is a finished preparation with this key.
bool HoldsPreparation(const std::filesystem::path& folder, const std::string& key);

// Where the tokenizer was (PrepareSetup::tokenizer_path), absolute; empty when the folder does not say.
std::string TokenizerPathOf(const std::filesystem::path& folder);

// The seconds of each step, by name, summed over the threads.
JsonValue StepsJson(const PreparedData& data);

// Made when the run starts.
class RunWatch {
 public:
  RunWatch() : start_(std::chrono::system_clock::now()) {}
  JsonValue Json(const PrepareSetup& setup, const PreparedData& data, const std::vector<SourceFile>& files,
                 const std::string& key) const;

 private:
  std::chrono::system_clock::time_point start_;
};

}  // namespace stablelm
