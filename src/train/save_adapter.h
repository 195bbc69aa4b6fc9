// Saves the adapters of a LoRA run in PEFT's layout (checkpoint/adapter), and loads them again.
//
// Rows of query_key_value are written in Hugging Face's order, whatever the order of the base's files.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/adapter/adapter_config.h"
#include "checkpoint/adapter/adapter_folder.h"
#include "checkpoint/huggingface/safetensors_writer.h"
#include "train/parameters.h"
#include "train/save_parameters.h"

namespace stablelm {

inline constexpr const char* kAdapterWeightsFile = "adapter_model.safetensors";
inline constexpr const char* kAdapterConfigFile = "adapter_config.json";

// Text of adapter_config.json. `base`: base_model_name_or_path, by which PEFT finds the base.
std::string AdapterConfigOf(const LoraOptions& lora, const std::string& base);
// The tensors of adapter_model.safetensors, in the table's order.
std::vector<SafetensorsEntry> AdapterTensors(const Parameters& parameters, DType dtype);
// Writes them, one row after another. Nothing may change the parameters meanwhile. `on_piece` (optional) is called
// before every tensor and may throw to end it. Throws Error for a value that is not finite in `dtype`.
void CopyAdapters(const Parameters& parameters, DType dtype, SafetensorsWriter& writer,
                  const std::function<void()>& on_piece = {});

// Writes the folder `out` with both files and options.texts. As SaveParameters; options.tokenizer is not used: the base
// has it.
void SaveAdapter(const Parameters& parameters, const std::string& base, const std::filesystem::path& out,
                 const SaveOptions& options);

// For people: the base's path, and its files with their SHA-256, by name.
std::string DescribeBase(const std::filesystem::path& base, const std::map<std::string, std::string>& hashes);

// Sets the adapters of a table with the same rank and targets. Throws Error for another adapter.
void LoadAdapter(const AdapterFolder& folder, Parameters& parameters);

}  // namespace stablelm
