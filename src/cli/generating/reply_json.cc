#include "cli/generating/reply_json.h"

#include "base/json_value.h"

namespace stablelm {

void AddReplyDetails(CLI::App& app, ReplyDetails& details) {
  AddFlag(app, "--logprobs", details.logprobs,
          "With --output: the log-probability of each token (--json of one prompt always has them)");
  AddNumber(app, "--top-logprobs", details.top_logprobs, Limits<int64_t>{1, 1000},
            "The N most likely tokens at each place, with their log-probabilities; in JSON");
  AddFlag(app, "--prompt-logprobs", details.prompt_logprobs,
          "Log-probabilities of the prompt's tokens too; in JSON. The prompt is then computed as a whole");
  AddFlag(app, "--echo", details.echo, "The prompt as the model sees it before the text, and its ids in --output");
}

const char* DetailOnlyInJson(const ReplyDetails& details) {
  return details.logprobs           ? "--logprobs"
         : details.top_logprobs > 0 ? "--top-logprobs"
         : details.prompt_logprobs  ? "--prompt-logprobs"
                                    : nullptr;
}

ReplyJson::ReplyJson(const ReplyDetails& details, const Tokenizer* tokenizer, std::vector<int32_t> prompt)
    : details_(details), tokenizer_(tokenizer), prompt_(std::move(prompt)) {}

std::string ReplyJson::PromptText() const { return tokenizer_ ? tokenizer_->Decode(prompt_) : std::string(); }

JsonValue ReplyJson::Top(const std::vector<std::vector<TokenLogprob>>& lists) const {
  JsonValue all = JsonValue::Array();
  for (const std::vector<TokenLogprob>& list : lists) {
    JsonValue one = JsonValue::Array();
    for (const TokenLogprob& token : list) {
      JsonValue entry = {{"id", token.id}, {"logprob", token.logprob}};
      if (tokenizer_) entry["token"] = tokenizer_->TokenBytes(token.id);
      one.push_back(std::move(entry));
    }
    all.push_back(std::move(one));
  }
  return all;
}

JsonValue ReplyJson::Of(const GenerateResult& result) const {
  JsonValue object = {{"ids", result.ids}};
  if (details_.logprobs || details_.top_logprobs > 0) object["logprobs"] = result.logprobs;
  if (details_.top_logprobs > 0) object["top_logprobs"] = Top(result.top);
  object["text"] = nullptr;
  if (tokenizer_) object["text"] = details_.echo ? PromptText() + result.text : result.text;
  object["finish_reason"] = NameOf(result.reason);
  if (result.stop.id) object["stop_id"] = *result.stop.id;
  if (result.stop.string) object["stop_string"] = *result.stop.string;
  if (result.forced_tokens > 0) object["forced_tokens"] = result.forced_tokens;
  return object;
}

JsonValue ReplyJson::Choices(std::span<const EngineResult> results) const {
  JsonValue choices = JsonValue::Array();
  for (const EngineResult& result : results) {
    JsonValue choice = {{"index", choices.size()}};
    choice.Update(Of(result.generated));
    choices.push_back(std::move(choice));
  }
  return choices;
}

void ReplyJson::AddPromptLogprobs(const EngineResult& result, JsonValue& into) const {
  if (!details_.prompt_logprobs) return;
  into["prompt_logprobs"] = result.prompt.logprobs;
  if (details_.top_logprobs > 0) into["prompt_top_logprobs"] = Top(result.prompt.top);
}

}  // namespace stablelm
