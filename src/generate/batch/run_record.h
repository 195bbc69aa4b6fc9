// The settings that a run over a prompt file was started with, stored next to its output: out.jsonl.run.json. Lets an
// interrupted run resume, and refuses to resume with other settings.
//
//   {"seed": 7,                                  the base seed
//    "parameters": {"temperature": 0.7, ...},    all other parameters that affect the results
//    "model": {"config.json": "9f86d0...", ...}, SHA-256 of the model's files
//    "input": "60303a...",                       SHA-256 of the prompt file
//    "program": {"version": ..., "simd": ...}}   informational, not compared
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "checkpoint/model_folder.h"

namespace stablelm {

struct RunRecord {
  uint64_t seed = 0;
  std::map<std::string, std::string> parameters;  // by name; values as JSON text
  std::map<std::string, std::string> model;       // by file
  std::string input;
  std::map<std::string, std::string> program;
};

std::filesystem::path RunRecordPath(const std::filesystem::path& output);

// The record of `output`; no value when the file does not exist. Throws Error when it is malformed.
std::optional<RunRecord> ReadRunRecord(const std::filesystem::path& output);
// Writes atomically.
void WriteRunRecord(const std::filesystem::path& output, const RunRecord& record);

// Throws Error that lists the differences between the run that started `output` and this one, and what to do.
void RequireSameRun(const RunRecord& begun, const RunRecord& now, const std::filesystem::path& output);

// SHA-256, by file name, of the files of a model that decide what it generates: weights, config.json, tokenizer.json,
// generation_config.json and chat record, if they exist; or of its one GGUF file. `on_bytes` reports progress.
std::map<std::string, std::string> HashModelFiles(const ModelFolder& model,
                                                  const std::function<void(size_t)>& on_bytes = {});
// Total size of these files.
uint64_t BytesOfModelFiles(const ModelFolder& model);

}  // namespace stablelm
