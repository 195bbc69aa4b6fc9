// Answers to fixed prompts by the weights in training: whether a model will chat, seen before the run ends.
//
// Prompts go through the engine with the template, system text and settings that `chat` and `generate` will take for
// the checkpoint, and with one seed, so that the answers of two moments differ by the weights alone. Their texts equal
// those of `stablelm generate -m CHECKPOINT --user PROMPT --seed SEED --max-new-tokens N` for a checkpoint in the
// precision of the training.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_value.h"
#include "base/thread_pool.h"
#include "generate/engine.h"
#include "generate/settings/generation_plan.h"
#include "generate/settings/model_defaults.h"
#include "model/model_weights.h"

namespace stablelm {

struct SampleOptions {
  std::vector<std::string> prompts;  // texts of the user; for models without a template the text to continue
  int64_t max_tokens = 128;          // of an answer
};

struct SampleAnswer {
  std::string prompt, text;
  FinishReason end = FinishReason::kLength;
  bool stopped = false;        // ended by a stop id
  bool self_dialogue = false;  // HoldsRoleLine
  int64_t tokens = 0;
};

struct SampleRound {
  std::vector<SampleAnswer> answers;  // in the order of the prompts
  double StopRate() const;            // share of the answers that a stop id ended
  double SelfDialogueRate() const;
};

// {"event": "samples", "stop_rate": ..., "self_dialogue_rate": ..., "answers": [{"prompt", "answer", "end", "tokens",
// "self_dialogue"}, ...]}
JsonValue SamplesJson(const SampleRound& round);

// Whether a text takes the turn of another, or spells what separates turns: a line that begins with a role and a colon
// ("User:", "### Human:", "**Assistant:**"; letters of any case), or a marker like "<|USER|>".
bool HoldsRoleLine(std::string_view text);

// Immutable. Takes memory only while Run runs.
class SampleAnswers {
 public:
  // `defaults`: of the checkpoint to come. Throws Error, which names samples.prompts[i], for a prompt that does not fit
  // the model's context.
  SampleAnswers(const SampleOptions& options, const ModelConfig& config, const Tokenizer& tokenizer,
                const ModelDefaults& defaults, uint64_t seed);

  // Memory of Run besides the weights.
  uint64_t Bytes(size_t threads) const;
  // The weights may be those of Parameters, which nobody changes meanwhile. Throws Error for weights that are not
  // finite.
  SampleRound Run(const std::shared_ptr<const ModelWeights>& weights, ThreadPool& pool) const;

 private:
  const ModelConfig config_;
  std::vector<std::string> prompts_;
  std::vector<GenerateRequest> requests_;
  EngineSettings engine_;
};

}  // namespace stablelm
