// adapter_config.json of a LoRA adapter, as PEFT (huggingface/peft, LoraConfig) reads and writes it.
//
// Reading is strict: a setting that changes the arithmetic and is not done here is refused by its name, and so is a key
// that is not known, unless its value is null, false or empty.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

inline constexpr int64_t kMaxAdapterRank = 2048;

// What to do about an adapter whose arithmetic is not done here.
inline constexpr const char* kMergeAdapterHint =
    "merge the adapter into its base with PEFT (merge_and_unload, save_pretrained) and run the model that this makes";

// Which modules of a model an adapter changes, as target_modules and exclude_modules say it: a list of names, each the
// whole name of a module or its end after a dot ("dense" is attention.dense, not mlp.dense_h_to_4h), or one regular
// expression for whole names.
struct ModuleNames {
  std::vector<std::string> names = {};
  std::optional<std::string> pattern = {};  // instead of names
  bool all_linear = false;                  // "all-linear": every linear layer but the output matrix

  // `module`: "gpt_neox.layers.0.attention.dense". Throws Error for a pattern that is refused; `where` names it.
  bool Match(std::string_view module, const std::string& where) const;
};

struct AdapterConfig {
  int64_t rank = 16;          // "r", 1 to kMaxAdapterRank
  double alpha = 32;          // "lora_alpha"
  double dropout = 0;         // "lora_dropout": in training only
  bool rslora = false;        // "use_rslora"
  ModuleNames targets = {};   // "target_modules"
  ModuleNames excluded = {};  // "exclude_modules"
  std::string base = {};      // "base_model_name_or_path"; may be empty, nothing is opened by it

  // The factor of B A x: alpha / r, with rsLoRA alpha / sqrt(r).
  double Scale() const;
};

// `where` names the file in errors. Throws Error.
AdapterConfig ParseAdapterConfig(std::string_view text, const std::string& where);
// The file's text. Targets are a list of names.
std::string AdapterConfigText(const AdapterConfig& config);

}  // namespace stablelm
