#include "cli/generating/engine_options.h"

#include <algorithm>

#include "base/error.h"
#include "base/system.h"
#include "generate/engine_memory.h"

namespace stablelm {
namespace {

constexpr int64_t kParallel = 16;
constexpr int64_t kScoredRows = 64;  // prompt rows scored per step: 13 MB of logits for a vocabulary of 50,688

}  // namespace

void AddEngineOptions(CLI::App& app, EngineOptions& options) {
  AddNumber(
      app, "--parallel", options.parallel, Limits<int64_t>{1, 4096},
      "With --input or --samples: replies that are generated at the same time (default: 16). Results are the same "
      "with any number");
  AddNumber(
      app, "--cache-tokens", options.cache_tokens, Limits<int64_t>{1, int64_t{1} << 40},
      "With --input or --samples: tokens in the key-value cache of all replies together (default: whole contexts for "
      "--parallel replies, as far as half of the free memory allows). Results are the same with any number");
}

EngineSettings EngineSettingsFor(const EngineOptions& options, const CommonOptions& common, const ModelOfCommand& model,
                                 int64_t longest, int64_t requests, bool prompt_logprobs) {
  EngineSettings settings;
  settings.kv_type = common.kv;
  settings.context = model.config().max_positions;
  settings.max_running = std::min(options.parallel.value_or(kParallel), requests);
  settings.max_batch_rows = std::max(settings.max_batch_rows, settings.max_running);
  if (prompt_logprobs) settings.max_logit_rows = kScoredRows;
  if (options.cache_tokens && *options.cache_tokens < longest) {
    throw Error({.where = "--cache-tokens",
                 .what = "too small for one reply",
                 .found = std::to_string(*options.cache_tokens),
                 .expected = "at least " + std::to_string(longest) + ", the longest prompt and reply together",
                 .hint = "leave it out, or lower --max-new-tokens"});
  }
  settings.cache_positions =
      options.cache_tokens.value_or(CachePositionsFor(model.config(), model.PlannedWeights(), settings, longest,
                                                      static_cast<size_t>(common.threads), AvailableMemory().bytes));
  return settings;
}

}  // namespace stablelm
