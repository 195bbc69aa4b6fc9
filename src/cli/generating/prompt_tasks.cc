#include "cli/generating/prompt_tasks.h"

#include <algorithm>

#include "base/error_kinds.h"
#include "base/json_value.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "cli/app/habits.h"
#include "cli/app/setting_flags.h"
#include "cli/generating/generate_run.h"
#include "ops/kv_layout.h"

namespace stablelm {
namespace {

std::string Dumped(const JsonValue& object) { return object.Dump(); }

// What a result line contains besides its replies.
struct LineFacts {
  uint64_t index = 0;
  std::string place;
  uint64_t seed = 0;
  size_t prompt_tokens = 0;
  std::optional<DroppedTurns> dropped;
};

std::string LineOf(const LineFacts& facts, const ReplyDetails& details, const ReplyJson& reply,
                   const std::vector<int32_t>& prompt, std::span<const EngineResult> results) {
  size_t generated = 0;
  for (const EngineResult& result : results) {
    if (!result.error.empty()) return PromptTasks::ErrorLine(facts.index, facts.place, result.error);
    generated += result.generated.ids.size();
  }
  JsonValue object = {{"index", facts.index}};
  if (details.echo) object["prompt_ids"] = prompt;
  reply.AddPromptLogprobs(results[0], object);
  if (results.size() == 1) {
    object.Update(reply.Of(results[0].generated));
  } else {
    object["choices"] = reply.Choices(results);
  }
  object["seed"] = facts.seed;
  object["counts"] = {{"prompt", facts.prompt_tokens}, {"generated", generated}};
  if (facts.dropped) {
    object["dropped"] = {{"messages", facts.dropped->messages}, {"tokens", facts.dropped->tokens}};
  }
  return Dumped(object);
}

LineOptions LineOptionsOf(const PromptTaskOptions& options) {
  return {.generation = options.generation,
          .chat = ChatOptionsOf(options.conversation),
          .context_policy = options.conversation.policy,
          .longest_context = options.longest_context,
          .reserve = options.conversation.reserve,
          .replace_invalid = options.conversation.replace_invalid,
          .parse_special = options.parse_special,
          .samples = options.samples,
          .top_logprobs = options.details.top_logprobs,
          .prompt_logprobs = options.details.prompt_logprobs};
}

// The error with what another program's key is here, if that is known.
Error WithHintOfHabits(const UnknownKey& error) {
  std::string name = "--" + error.key();
  std::ranges::replace(name, '_', '-');
  ErrorInfo info = error.info();
  const bool own = std::ranges::any_of(Habits(), [&](const Habit& habit) {
    return habit.kind == HabitKind::kOption && habit.option == name && habit.commands.empty();
  });
  const Habit* row = FindHabit(name);
  if (own && std::ranges::find(error.known(), error.key()) == error.known().end()) {
    info.hint = "that is the option " + name + ", which holds for all lines";
    return Error(std::move(info));
  }
  if (!row) return error;
  if (row->kind != HabitKind::kOption) {
    info.hint = row->reason;
    return Error(std::move(info));
  }
  std::string key =
      row->option == "TEXT" ? "prompt" : std::string(row->option.substr(row->option.find_first_not_of('-')));
  std::ranges::replace(key, '-', '_');
  const bool known = std::ranges::find(error.known(), key) != error.known().end();
  info.hint = known ? "did you mean " + Quoted(key) + "?"
                    : "that is the option " + std::string(row->option) + ", which holds for all lines";
  return Error(std::move(info));
}

}  // namespace

PromptTasks::PromptTasks(const PromptTaskOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
                         const ModelDefaults& defaults)
    : details_(options.details),
      tokenizer_(tokenizer),
      requests_(LineOptionsOf(options), config, tokenizer, defaults) {}

std::string PromptTasks::ErrorLine(uint64_t index, const std::string& place, std::string_view what) {
  std::string text = place + ": " + WithFlags(what);
  // Keep it on one line: an Error has its hint on a second line.
  constexpr std::string_view kHint = "\nhint:  ";
  if (const size_t hint = text.find(kHint); hint != std::string::npos) text.replace(hint, kHint.size(), "; hint: ");
  return Dumped({{"index", index}, {"error", text}});
}

std::variant<PromptTask, std::string> PromptTasks::Of(std::string_view line, uint64_t index, const std::string& place) {
  try {
    return Task(line, index, place);
  } catch (const UnknownKey& e) {
    return ErrorLine(index, place, WithHintOfHabits(e).what());
  } catch (const Error& e) {
    return ErrorLine(index, place, e.what());
  }
}

PromptTask PromptTasks::Task(std::string_view text, uint64_t index, const std::string& place) {
  LineRequest line = requests_.Of(text, index);
  PromptTask task;
  task.samples = requests_.options().samples;
  task.request = std::move(line.request);
  const GenerateRequest& request = task.request.generate;
  RequireSampling(task.samples, request.sampling);
  const LineFacts facts = {.index = index,
                           .place = place,
                           .seed = request.seed,
                           .prompt_tokens = request.prompt.size(),
                           .dropped = line.dropped};
  task.line = [facts, details = details_, tokenizer = tokenizer_,
               ids = details_.echo ? request.prompt : std::vector<int32_t>()](std::span<const EngineResult> results) {
    return LineOf(facts, details, ReplyJson(details, tokenizer, ids), ids, results);
  };
  return task;
}

std::map<std::string, std::string> PromptTasks::Parameters(const CommonOptions& common) const {
  std::map<std::string, std::string> out = requests_.Parameters();
  const auto add = [&](const char* name, const JsonValue& value) { out[name] = value.Dump(); };
  add("dtype", common.dtype ? NameOf(*common.dtype) : "stored");
  if (common.quantize) add("quantize", common.quantize->name);
  add("compute", NameOf(common.compute));
  add("kv", KvTypeName(common.kv));
  if (common.activation) add("activation", *common.activation == Activation::kGeluErf ? "gelu" : "gelu_tanh");
  add("logprobs", details_.logprobs);
  add("echo", details_.echo);
  return out;
}

}  // namespace stablelm
