// What a run over a file of prompts was started with, in a file beside its output: out.jsonl.run.json. By it a run that
// was interrupted is gone on with, under the same settings or not at all.
//
//   {"seed": 7,                                  the base seed
//    "parameters": {"temperature": 0.7, ...},    everything else that decides what the lines say
//    "model": {"config.json": "9f86d0...", ...}, SHA-256 of the model's files
//    "input": "60303a...",                       SHA-256 of the file of prompts
//    "program": {"version": ..., "simd": ...}}   who computed; told, not compared
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
  std::map<std::string, std::string> parameters;  // by name; the value as JSON text
  std::map<std::string, std::string> model;       // by file
  std::string input;
  std::map<std::string, std::string> program;
};

std::filesystem::path RunRecordPath(const std::filesystem::path& output);

// The record beside `output`; no value when there is none. Throws Error for one that is broken.
std::optional<RunRecord> ReadRunRecord(const std::filesystem::path& output);
// Whole or not at all.
void WriteRunRecord(const std::filesystem::path& output, const RunRecord& record);

// Throws Error that names everything that differs between the run that began `output` and this one, and what to do.
void RequireSameRun(const RunRecord& begun, const RunRecord& now, const std::filesystem::path& output);

// SHA-256, by name, of the files of a model that decide what it generates: weights, config.json, tokenizer.json,
// generation_config.json, chat record, as far as they are there; or of its one GGUF file. `on_bytes` hears how far the
// work is.
std::map<std::string, std::string> HashModelFiles(const ModelFolder& model,
                                                  const std::function<void(size_t)>& on_bytes = {});
// How many bytes that are.
uint64_t BytesOfModelFiles(const ModelFolder& model);

}  // namespace stablelm
