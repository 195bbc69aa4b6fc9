// The options of commands that run many requests at once: how many, and how large their common cache is.
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

// The engine for requests of at most `longest` positions, of which there are `requests`, with the cache that the option
// asks for or that suits this machine. Throws Error for a cache that is too small for one request.
EngineSettings EngineSettingsFor(const EngineOptions& options, const CommonOptions& common, const ModelOfCommand& model,
                                 int64_t longest, int64_t requests, bool prompt_logprobs);

}  // namespace stablelm
