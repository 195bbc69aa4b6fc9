#include "train/sample_answers.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/error.h"
#include "model/kv_cache.h"
#include "model/memory_plan.h"
#include "prompt/context_policy.h"
#include "prompt/prompt_builder.h"

namespace stablelm {
namespace {

constexpr int64_t kMostRunning = 8;

std::vector<int32_t> PromptIds(const std::string& text, const ModelConfig& config, const Tokenizer& tokenizer,
                               const ModelDefaults& defaults, const std::string& where) {
  const ContextLimits limits = LimitsFor(ContextPolicy::kError, 1, config.max_positions);
  try {
    if (!defaults.record) {
      std::vector<int32_t> ids = tokenizer.Encode(text);
      RequireContext(static_cast<int64_t>(ids.size()), limits, where);
      return ids;
    }
    ChatSetup setup = ResolveChatSetup({}, defaults.record, defaults.record_from, defaults.template_by_tokens);
    const Conversation conversation = {{.role = Role::kUser, .text = text}};
    return FitConversation(conversation, setup, tokenizer, limits, where).prompt.ids;
  } catch (const Error& error) {  // its hint names options of other commands
    ErrorInfo info = error.info();
    info.hint = "change the prompt; the system text of the prepared data stands before it";
    throw Error(std::move(info));
  }
}

bool BeginsWithRole(std::string_view line) {
  constexpr std::string_view kRoles[] = {"user", "human",  "assistant", "system",      "bot",
                                         "ai",   "prompt", "response",  "instruction", "stablelm"};
  const size_t begin = line.find_first_not_of(" \t#*>_-");
  if (begin == std::string_view::npos) return false;
  line.remove_prefix(begin);
  for (const std::string_view role : kRoles) {
    if (line.size() < role.size() ||
        !std::equal(role.begin(), role.end(), line.begin(), [](char a, char b) { return a == LowerAscii(b); })) {
      continue;
    }
    const size_t after = line.find_first_not_of("*_ ", role.size());
    if (after != std::string_view::npos && line[after] == ':') return true;
  }
  return false;
}

bool HoldsMarker(std::string_view text) {
  for (size_t at = text.find("<|"); at != std::string_view::npos; at = text.find("<|", at + 2)) {
    size_t end = at + 2;
    while (end < text.size() && (text[end] == '_' || (LowerAscii(text[end]) >= 'a' && LowerAscii(text[end]) <= 'z'))) {
      ++end;
    }
    if (end > at + 2 && text.substr(end).starts_with("|>")) return true;
  }
  return false;
}

template <typename Predicate>
double Share(const std::vector<SampleAnswer>& answers, Predicate of) {
  const auto n = static_cast<double>(std::ranges::count_if(answers, of));
  return answers.empty() ? 0 : n / static_cast<double>(answers.size());
}

}  // namespace

bool HoldsRoleLine(std::string_view text) {
  if (HoldsMarker(text)) return true;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (BeginsWithRole(text.substr(0, end))) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

double SampleRound::StopRate() const {
  return Share(answers, [](const SampleAnswer& answer) { return answer.stopped; });
}

double SampleRound::SelfDialogueRate() const {
  return Share(answers, [](const SampleAnswer& answer) { return answer.self_dialogue; });
}

JsonValue SamplesJson(const SampleRound& round) {
  JsonValue answers = JsonValue::Array();
  for (const SampleAnswer& answer : round.answers) {
    answers.push_back({{"prompt", answer.prompt},
                       {"answer", answer.text},
                       {"end", NameOf(answer.end)},
                       {"tokens", answer.tokens},
                       {"self_dialogue", answer.self_dialogue}});
  }
  return {{"event", "samples"},
          {"stop_rate", round.StopRate()},
          {"self_dialogue_rate", round.SelfDialogueRate()},
          {"answers", std::move(answers)}};
}

SampleAnswers::SampleAnswers(const SampleOptions& options, const ModelConfig& config, const Tokenizer& tokenizer,
                             const ModelDefaults& defaults, uint64_t seed)
    : config_(config), prompts_(options.prompts) {
  STABLELM_CHECK(!options.prompts.empty() && options.max_tokens > 0);
  GenerationOptions generation;
  generation.settings.values["max_new_tokens"] = static_cast<double>(options.max_tokens);
  std::optional<PromptTemplate> prompt_template;
  if (defaults.record) prompt_template = defaults.record->prompt_template;
  const GenerationPlan plan = PlanGeneration(generation, config, &tokenizer, defaults, prompt_template);
  int64_t longest = 1;
  for (size_t i = 0; i < options.prompts.size(); ++i) {
    GenerateRequest request;
    plan.Apply(false, request);
    request.prompt =
        PromptIds(options.prompts[i], config, tokenizer, defaults, "samples.prompts[" + std::to_string(i) + "]");
    request.seed = seed;
    request.tokenizer = tokenizer;
    longest = std::max(longest, static_cast<int64_t>(request.prompt.size()) + options.max_tokens);
    requests_.push_back(std::move(request));
  }
  longest = std::min(longest, config.max_positions);
  engine_.max_running = std::min<int64_t>(kMostRunning, static_cast<int64_t>(requests_.size()));
  engine_.cache_positions = engine_.max_running * KvCache::PagesFor(longest) * kKvPageTokens;
}

uint64_t SampleAnswers::Bytes(size_t threads) const {
  return PlanMemory(config_, {}, ShapeOfEngine(engine_, threads)).Total();
}

SampleRound SampleAnswers::Run(const std::shared_ptr<const ModelWeights>& weights, ThreadPool& pool) const {
  const Transformer model(weights);
  Engine engine(model, engine_, pool);
  std::vector<EngineResult> results(requests_.size());
  for (size_t i = 0; i < requests_.size(); ++i) {
    engine.Submit({.generate = requests_[i]},
                  {.on_end = [&results, i](const EngineResult& result) { results[i] = result; }});
  }
  while (engine.Step()) {
  }
  SampleRound round;
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].cause) std::rethrow_exception(results[i].cause);
    const GenerateResult& generated = results[i].generated;
    round.answers.push_back({.prompt = prompts_[i],
                             .text = generated.text,
                             .end = generated.reason,
                             .stopped = generated.stop.id.has_value(),
                             .self_dialogue = HoldsRoleLine(generated.text),
                             .tokens = static_cast<int64_t>(generated.ids.size())});
  }
  return round;
}

}  // namespace stablelm
