#include "generate/reply.h"

#include <algorithm>

#include "base/error.h"

namespace stablelm {

const char* NameOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kTime:
      return "time";
  }
  STABLELM_CHECK(false);
}

SamplerSetup SetupOf(const GenerateRequest& request) {
  return {.options = request.sampling,
          .seed = request.seed,
          .sample = request.sample,
          .begun = request.begun,
          .stop_ids = request.stop_ids,
          .banned_ids = request.banned_ids,
          .known_ids = request.known_ids,
          .top_logprobs = request.top_logprobs,
          .tokenizer = request.tokenizer};
}

TokenLimit LimitOf(const GenerateRequest& request, int64_t room) {
  constexpr int64_t kMost = int64_t{1} << 31;  // the largest max_new_tokens
  const int64_t most = request.keep_on_shift && room >= 0 ? kMost : room;
  if (request.max_new_tokens && *request.max_new_tokens <= most) {
    return {*request.max_new_tokens, FinishReason::kLength};
  }
  if (most > room) return {most, FinishReason::kLength};
  return {room, FinishReason::kContext};
}

Reply::Reply(const GenerateRequest& request, int64_t room, int64_t vocab_size)
    : ids_(request.prompt),
      prompt_(static_cast<int64_t>(request.prompt.size())),
      begun_(request.begun),
      limit_(LimitOf(request, room)),
      lists_top_(request.top_logprobs > 0),
      sampler_(SetupOf(request), vocab_size),
      text_(request.tokenizer, {.ids = request.stop_ids, .strings = request.stop_strings}) {
  const auto refuse = [](const char* where, std::string found, const char* expected) {
    throw Error({.where = where, .what = "out of range", .found = std::move(found), .expected = expected});
  };
  if (request.begun < 0 || request.begun > prompt_) {
    refuse("begun", std::to_string(request.begun), "at most the prompt");
  }
  if (request.max_new_tokens && *request.max_new_tokens < 1) {
    refuse("max_new_tokens", std::to_string(*request.max_new_tokens), "at least 1");
  }
  if (request.max_time_s && !(*request.max_time_s > 0)) {
    refuse("max_time", std::to_string(*request.max_time_s), "more than 0 seconds");
  }
  // Reserve the ids now: only replies of more than 65,536 tokens reallocate them.
  const size_t most = static_cast<size_t>(std::clamp<int64_t>(limit_.tokens, 0, 1 << 16));
  ids_.reserve(ids_.size() + most);
  result.ids.reserve(most);
  result.logprobs.reserve(most);
}

void Reply::Take(std::span<const float> logits, SamplerWorkspace& workspace, const ReplyCallbacks& callbacks) {
  STABLELM_CHECK(!ended_ && generated() < limit_.tokens);
  const ChosenToken token = sampler_.Choose(logits, ids_, begun_ + generated(), workspace);
  ids_.push_back(token.id);
  result.ids.push_back(token.id);
  result.logprobs.push_back(token.logprob);
  if (lists_top_) result.top.emplace_back(token.top.begin(), token.top.end());
  if (!token.emptied_by.empty()) ++result.forced_tokens;
  if (callbacks.on_token) callbacks.on_token(token);
  Show(text_.Add(token.id), callbacks);
  if (text_.Cause().Found()) return End(FinishReason::kStop, callbacks);
  if (generated() == limit_.tokens) End(limit_.reason, callbacks);
}

void Reply::End(FinishReason reason, const ReplyCallbacks& callbacks) {
  if (ended_) return;
  ended_ = true;
  const std::string rest = text_.Finish();
  result.stop = text_.Cause();
  result.reason = result.stop.Found() ? FinishReason::kStop : reason;
  Show(rest, callbacks);
}

void Reply::Show(const std::string& text, const ReplyCallbacks& callbacks) {
  if (text.empty()) return;
  result.text += text;
  if (callbacks.on_text) callbacks.on_text(text);
}

}  // namespace stablelm
