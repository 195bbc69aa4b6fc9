#include "cli/commands/inspect_adapter.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json_value.h"
#include "base/number_text.h"
#include "base/system.h"
#include "checkpoint/adapter/adapter_folder.h"

namespace stablelm {
namespace {

std::string TargetsText(const ModuleNames& targets) {
  if (targets.all_linear) return "all-linear";
  return targets.pattern ? *targets.pattern : Joined(targets.names);
}

void PrintText(const AdapterFolder& adapter, const std::map<std::string, size_t>& types, bool tensors, Output& out) {
  const AdapterConfig& config = adapter.config();
  const auto line = [&](std::string name, const std::string& value) {
    name.resize(std::max<size_t>(name.size() + 1, 16), ' ');
    out.Text(name + value + "\n");
  };
  std::string stored;
  for (const auto& [type, count] : types) stored += (stored.empty() ? "" : ", ") + type;
  line("kind", "LoRA adapter (PEFT): runs on its base with -m BASE --lora " + adapter.path().string());
  line("base", config.base.empty() ? "not said" : config.base);
  line("modules", TargetsText(config.targets));
  if (config.excluded.pattern || !config.excluded.names.empty()) line("but not", TargetsText(config.excluded));
  line("rank", std::to_string(config.rank));
  line("scale", NumberText(config.Scale()) + (config.rslora ? ": alpha / sqrt(rank)" : ": alpha / rank") + ", alpha " +
                    NumberText(config.alpha));
  line("dropout", NumberText(config.dropout) + ", in training only");
  line("parameters", std::to_string(adapter.NumParameters()) + " in " + std::to_string(adapter.file().tensors.size()) +
                         " tensors, " + stored);
  line("file", adapter.file().name + ", " + HumanBytes(adapter.file().map->size()));
  line("SHA-256", adapter.Sha256());
  if (!tensors) return;
  for (const StoredTensor& tensor : adapter.file().tensors) {
    out.Text(tensor.TypeName() + "  " + tensor.shape.ToString() + "  " + tensor.name + "\n");
  }
}

}  // namespace

bool IsAdapterFolder(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path folder = path;
  return std::filesystem::exists(folder / "adapter_config.json", ignored) &&
         !std::filesystem::exists(folder / "config.json", ignored);
}

void InspectAdapter(const std::string& path, bool tensors, Output& out) {
  const auto adapter = AdapterFolder::Open(path);
  const AdapterConfig& config = adapter->config();
  std::map<std::string, size_t> types;
  for (const StoredTensor& tensor : adapter->file().tensors) ++types[tensor.TypeName()];
  if (!out.json()) return PrintText(*adapter, types, tensors, out);
  JsonValue object = {{"kind", "adapter"},
                      {"path", adapter->path().string()},
                      {"base", config.base},
                      {"rank", config.rank},
                      {"alpha", config.alpha},
                      {"scale", config.Scale()},
                      {"rslora", config.rslora},
                      {"dropout", config.dropout},
                      {"parameters", adapter->NumParameters()},
                      {"file", adapter->file().name},
                      {"bytes", adapter->file().map->size()},
                      {"sha256", adapter->Sha256()},
                      {"tensors_by_type", types}};
  object["target_modules"] =
      config.targets.names.empty() ? JsonValue(TargetsText(config.targets)) : JsonValue(config.targets.names);
  if (tensors) {
    JsonValue list = JsonValue::Array();
    for (const StoredTensor& tensor : adapter->file().tensors) {
      list.push_back({{"name", tensor.name},
                      {"dtype", tensor.TypeName()},
                      {"shape", std::vector<int64_t>(tensor.shape.dims().begin(), tensor.shape.dims().end())}});
    }
    object["tensors"] = list;
  }
  out.Json(object);
}

}  // namespace stablelm
