// Engine options of commands that run many requests at once: how many, and the size of their shared cache.
#pragma once

#include <cstdint>
#include <optional>

#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "generate/engine.h"

namespace stablelm {

struct EngineOptions {
  std::optional<int64_t> parallel;      // --parallel
  std::optional<int64_t> cache_tokens;  // --cache-tokens
};
void AddEngineOptions(CLI::App& app, EngineOptions& options);

// Settings of an engine for `requests` requests of at most `longest` tokens (prompt and reply) each. --cache-tokens or
// the machine's free memory gives the cache size. Throws Error when the cache is too small for one request.
EngineSettings EngineSettingsFor(const EngineOptions& options, const CommonOptions& common, const ModelOfCommand& model,
                                 int64_t longest, int64_t requests, bool prompt_logprobs);

}  // namespace stablelm
