// What a LanguageModel holds.
#pragma once

#include <memory>
#include <optional>

#include "base/thread_pool.h"
#include "facade/guard.h"
#include "facade/loaded_model.h"
#include "generate/generator.h"

namespace stablelm {

struct [[gnu::visibility("hidden")]] LanguageModel::Body {
  explicit Body(size_t threads) : pool(threads) {}
  std::shared_ptr<const LoadedModel> loaded;
  ThreadPool pool;
  Turns turns;                            // of the calls that use pool and chat
  std::optional<SequenceGenerator> chat;  // made by the first Chat
};

}  // namespace stablelm
