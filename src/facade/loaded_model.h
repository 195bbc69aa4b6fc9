// A model in memory, as all objects of the library that run it share it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"
#include "generate/generate_request.h"
#include "generate/settings/model_defaults.h"
#include "model/load_adapters.h"
#include "model/memory_plan.h"
#include "model/transformer.h"
#include "prompt/context_policy.h"
#include "stablelm/stablelm.h"

namespace stablelm {

// A model whose weights are not read yet. Throws ModelError with kNotFound when there is no such model, else Error.
class OpenedModel {
 public:
  explicit OpenedModel(const std::string& name);

  const ModelFolder& folder() const { return *folder_; }
  const std::shared_ptr<const ModelFolder>& shared_folder() const { return folder_; }
  const std::optional<Tokenizer>& tokenizer() const { return tokenizer_; }
  const ModelDefaults& defaults() const { return defaults_; }
  ModelInfo Info() const { return Info(defaults_); }
  // With the chat record of these defaults.
  ModelInfo Info(const ModelDefaults& defaults) const;

 private:
  std::shared_ptr<const ModelFolder> folder_;
  std::optional<Tokenizer> tokenizer_;
  ModelDefaults defaults_;
};

// LoadSettings, checked against a model and resolved.
struct LoadPlan {
  size_t threads = 1;
  DType cache = DType::kF32;
  int64_t chat_context = 0;
  std::optional<DType> dtype = {};
  std::vector<DType> types = {};  // of quantizing while loading
  Compute compute = Compute::kExact;
  std::vector<AdapterChoice> adapters = {};
  std::vector<std::string> warnings = {};
  WeightTypes Weights() const { return {.dtype = dtype, .types = types, .compute = compute}; }
};
LoadPlan PlanLoad(const OpenedModel& model, const LoadSettings& settings);  // throws UsageError, Error for an adapter
// Bytes that LoadOpened maps and allocates.
WeightBytes PlanWeights(const OpenedModel& model, const LoadPlan& plan);

struct ChatPrompt {
  GenerateRequest request;
  int64_t dropped_messages = 0, dropped_tokens = 0;
};

// Immutable; any thread.
struct LoadedModel {
  Transformer model;
  std::optional<Tokenizer> tokenizer;
  ModelDefaults defaults;
  ModelInfo info;
  DType cache = DType::kF32;
  int64_t chat_context = 0;
  size_t threads = 1;

  // Throws Error when there is none.
  const Tokenizer& RequireTokenizer() const;
  // Checks that the memory of a call fits; the weights are there already.
  void RequireRoom(const RunShape& run) const;
  void CheckTopLogprobs(int64_t wanted) const;  // throws UsageError
  // Ids from here on are padding; 0: there is none.
  int64_t KnownIds() const { return tokenizer ? tokenizer->size() : 0; }
  // The request of a prompt.
  GenerateRequest RequestOf(std::vector<int32_t> prompt, const GenerationSettings& settings) const;
  // The request of a conversation within a context of `context` tokens.
  ChatPrompt RequestOf(const std::vector<ChatMessage>& conversation, const ChatSettings& settings,
                       int64_t context) const;

 private:
  GenerateRequest WithoutPrompt(const GenerationSettings& settings,
                                std::optional<PromptTemplate> prompt_template) const;
};

// Throws Error when the weights and the smallest run do not fit into memory.
void RequireRoom(const OpenedModel& model, const LoadPlan& plan);
// Reads the weights. `on_progress` as in LoadOptions.
std::shared_ptr<const LoadedModel> LoadOpened(const OpenedModel& model, LoadPlan plan, bool check_weights,
                                              const std::function<void(uint64_t, uint64_t)>& on_progress,
                                              ThreadPool& pool);

}  // namespace stablelm
