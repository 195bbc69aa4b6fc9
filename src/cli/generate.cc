// stablelm generate: the raw continuation of a text or of ids, or the answer to a conversation, as it comes.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "base/system.h"
#include "cli/commands.h"
#include "cli/conversation_input.h"
#include "cli/generation_options.h"
#include "cli/interrupt.h"
#include "cli/model_loading.h"
#include "cli/options.h"
#include "generate/generator.h"

namespace stablelm {
namespace {

// What is printed while tokens come: text, or ids where the folder has no tokenizer.
class Printer {
 public:
  Printer(bool has_text, Output& out) : has_text_(has_text), out_(out) {}

  void AddId(int32_t id) {
    if (!has_text_) Print(std::string(last_ == 0 ? "" : " ").append(std::to_string(id)));
  }
  void Print(std::string_view text) {
    if (text.empty()) return;
    last_ = text.back();
    if (out_.json()) return;
    out_.Text(text);
    out_.Flush();
  }
  void Finish() {
    // A shell prompt should not stick to the text; a pipe gets the text alone.
    const bool line_open = last_ != 0 && last_ != '\n';
    if (!out_.json() && line_open && (!has_text_ || isatty(STDOUT_FILENO) == 1)) out_.Text("\n");
  }

 private:
  bool has_text_;
  Output& out_;
  char last_ = 0;  // of what was printed
};

class GenerateCommand : public Command {
 public:
  std::string Name() const override { return "generate"; }
  std::string Summary() const override { return "Continue a text, or answer a message, token by token"; }
  std::string Examples() const override {
    return "  stablelm generate -m models/stablelm-3b \"The capital of France is\" --max-new-tokens 20\n"
           "  stablelm generate -m models/stablelm-3b --file story.txt --temperature 0.7 --top-p 0.9 --seed 1\n"
           "  stablelm generate -m models/stablelm-3b --ids \"12 345 6\" --json\n"
           "  stablelm generate -m models/stablelm-tuned-3b --user \"What's your mood today?\"\n"
           "  stablelm generate -m models/stablelm-tuned-3b --show-config\n"
           "\n"
           "A PROMPT is continued raw: no chat markers are added. --user and --messages are written with the model's\n"
           "chat template instead (stablelm prompt shows it). Settings come from the options, else --preset, else the\n"
           "model's files; a model that is not tuned for chat is greedy by default.\n"
           "With --json: prompt_ids, ids (a stop token included), logprobs (natural logarithms under the\n"
           "unchanged logits), text (without the stop token; null when the folder has no tokenizer), finish_reason\n"
           "(stop, length, context, time, cancelled), stop_id or stop_string after a stop, seed, counts, seconds,\n"
           "with a conversation dropped (what did not fit), after a shift of the context shift (times, "
           "dropped_tokens,\n"
           "approximate), and peak_bytes: the largest resident memory of the whole\n"
           "process, pages of mapped weight files included.\n"
           "Ctrl-C ends with what has been generated so far and exit code 130.";
  }
  unsigned Takes() const override { return kTakesModel | kTakesThreads | kTakesDtype | kTakesKv | kTakesActivation; }
  void AddOptions(CLI::App& app) override {
    AddTextInput(app, input_, "PROMPT");
    AddText(app, "--ids", "IDS", ids_, "Token ids instead of text: \"1 2 3\"; needs no tokenizer");
    AddConversationInput(app, conversation_);
    AddContextOptions(app, conversation_);
    AddGenerationOptions(app, generation_);
    AddNumber(app, "--seed", seed_, Limits<uint64_t>{}, "Seed of the draws (default: random, reported)");
    AddFlag(app, "--show-config", show_config_,
            "Print the settings and stop ids in force and where each comes from, and end; no prompt is needed");
    AddFlag(app, "--parse-special", parse_special_,
            "Recognise special tokens such as <|USER|> in the prompt's text (default: they are text)");
    AddCheckWeights(app, check_weights_);
  }
  int Run(Output& out) override;

 private:
  void CheckInput() const;
  std::vector<int32_t> RawPrompt(ModelOfCommand& model, Output& out) const;
  void Report(const GenerateRequest& request, const GenerateResult& result, const ModelOfCommand& model,
              const std::optional<PromptOfCommand>& conversation, Output& out) const;

  TextInput input_;
  ConversationInput conversation_;
  GenerationOptions generation_;
  std::optional<std::string> ids_;
  std::optional<uint64_t> seed_;
  bool parse_special_ = false, check_weights_ = false, show_config_ = false;
};

void GenerateCommand::CheckInput() const {
  const auto refuse = [](const char* where, const char* what) {
    throw UsageError({.where = where, .what = what, .found = {}, .expected = {}, .hint = "leave one of them out"});
  };
  const bool text = input_.text || !input_.file.empty();
  if (ids_ && text) refuse("--ids", "the prompt is given twice, as ids and as text");
  if (!conversation_.Given()) return conversation_.RequireNoConversationOptions();
  const char* option = conversation_.user ? "--user" : "--messages";
  if (ids_ || text) refuse(option, "the prompt is given twice, as a conversation and as it is");
  if (parse_special_)
    refuse("--parse-special", "contradicts a conversation, whose texts are never searched for tokens");
}

std::vector<int32_t> GenerateCommand::RawPrompt(ModelOfCommand& model, Output& out) const {
  if (ids_) return ParseIds(*ids_, "--ids");
  const Tokenizer& tokenizer = model.RequireTokenizer("--ids \"1 2 3\"");
  return tokenizer.Encode(ReadTextInput(input_, out), {.parse_special = parse_special_});
}

int GenerateCommand::Run(Output& out) {
  if (!show_config_) CheckInput();
  ModelOfCommand model(common, out);
  const Tokenizer* tokenizer = model.tokenizer();
  const ModelDefaults defaults = ReadModelDefaults(model.source(), model.config(), tokenizer);
  for (const std::string& warning : defaults.warnings) out.Warning(warning);
  std::optional<PromptTemplate> prompt_template = conversation_.prompt_template;
  if (!prompt_template && conversation_.Given() && defaults.record) prompt_template = defaults.record->prompt_template;
  const GenerationPlan plan = PlanGeneration(generation_, model.config(), tokenizer, defaults, prompt_template);
  if (show_config_) {
    PrintPlan(plan, model.config(), tokenizer, defaults, out);
    return kExitOk;
  }

  GenerateRequest request;
  plan.Apply(generation_.ignore_eos, request);
  request.seed = seed_ ? *seed_ : RandomSeed();
  if (tokenizer) request.tokenizer = *tokenizer;
  if (!request.stop_strings.empty()) model.RequireTokenizer("--stop-id 5");
  const int64_t context = model.config().max_positions;
  std::string where = ids_ ? "--ids" : "the prompt";
  std::optional<PromptOfCommand> conversation;
  if (conversation_.Given()) {
    ConversationInput given = conversation_;
    given.replace_invalid = input_.replace_invalid;
    conversation = PromptFor(given, model.RequireTokenizer("--ids \"1 2 3\""), defaults, context, out);
    request.prompt = conversation->fitted.prompt.ids;
    request.keep_on_shift = KeepOnShift(conversation->fitted.prompt, conversation_.policy);
    where = conversation->where;
  } else {
    request.prompt = RawPrompt(model, out);
    request.keep_on_shift = KeepOnShift({}, conversation_.policy);
  }
  const RunShape run = ShapeOfGenerate(model.config(), request, common.kv, common.threads, where);
  if (!conversation) {
    RequireContext(static_cast<int64_t>(request.prompt.size()), LimitsOf(conversation_, context), where);
  }
  model.Load(run, check_weights_);

  const InterruptGuard guard;
  Printer printer(tokenizer != nullptr, out);
  const GenerateResult result = Generate(model.model(), request, run, model.pool(),
                                         {.on_token = [&](const ChosenToken& token) { printer.AddId(token.id); },
                                          .cancel = &InterruptFlag(),
                                          .on_text = [&](std::string_view text) { printer.Print(text); }});
  printer.Finish();
  if (result.shifts > 0) out.Warning(ShiftText(result));
  Report(request, result, model, conversation, out);
  return result.reason == FinishReason::kCancelled ? kExitInterrupted : kExitOk;
}

void GenerateCommand::Report(const GenerateRequest& request, const GenerateResult& result, const ModelOfCommand& model,
                             const std::optional<PromptOfCommand>& conversation, Output& out) const {
  const size_t prompt = request.prompt.size(), generated = result.ids.size();
  if (out.json()) {
    nlohmann::ordered_json object = {
        {"prompt_ids", request.prompt},
        {"ids", result.ids},
        {"logprobs", result.logprobs},
        {"text", nullptr},
        {"finish_reason", NameOf(result.reason)},
        {"seed", request.seed},
        {"counts", {{"prompt", prompt}, {"generated", generated}}},
        {"seconds", {{"load", model.load_seconds()}, {"prefill", result.prefill_s}, {"decode", result.decode_s}}},
        {"peak_bytes", ReadMemoryUse().peak_resident}};
    if (request.tokenizer) object["text"] = result.text;
    if (result.stop.id) object["stop_id"] = *result.stop.id;
    if (result.stop.string) object["stop_string"] = *result.stop.string;
    if (conversation) {
      object["dropped"] = {{"messages", conversation->fitted.dropped_messages},
                           {"tokens", conversation->fitted.dropped_tokens}};
    }
    if (result.shifts > 0) object["shift"] = ShiftJson(result);
    out.Json(object);
    return;
  }
  out.Flush();
  std::string note = std::to_string(generated) + " tokens (" + NameOf(result.reason) + ")";
  // The first token comes from the prompt's pass.
  if (generated > 1) {
    note += " at " + Rounded(static_cast<double>(generated - 1) / result.decode_s, 2) + " tokens/s";
  }
  note += ", prompt of " + std::to_string(prompt) + " in " + Rounded(result.prefill_s, 2) + " s, load " +
          Rounded(model.load_seconds(), 2) + " s; seed " + std::to_string(request.seed) +
          (request.sampling.Greedy() ? " (unused: greedy)" : "");
  out.Note(note);
  if (result.forced_tokens > 0) {
    out.Warning(std::to_string(result.forced_tokens) +
                " tokens were chosen although the settings removed every one: the best of the last ones left");
  }
}

}  // namespace

std::unique_ptr<Command> MakeGenerate() { return std::make_unique<GenerateCommand>(); }

}  // namespace stablelm
