// stablelm generate: continues a raw text or ids, or answers a conversation, and streams the output.
#include <unistd.h>

#include <cstdio>

#include "base/ascii.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/random.h"
#include "base/shell_word.h"
#include "base/system.h"
#include "cli/app/bundled_model.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/load_tokenizer.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/generating/conversation_input.h"
#include "cli/generating/engine_options.h"
#include "cli/generating/generate_beams.h"
#include "cli/generating/generate_many.h"
#include "cli/generating/generate_run.h"
#include "cli/generating/generation_options.h"
#include "generate/generator.h"
#include "generate/token_ids.h"

namespace stablelm {
namespace {

// Streams the reply: text, or ids when the model has no tokenizer.
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
  // Prints the prompt as the model sees it.
  void Echo(const GenerateRequest& request) {
    if (has_text_) return Print(request.tokenizer->Decode(request.prompt));
    for (const int32_t id : request.prompt) AddId(id);
  }
  // Ends the last line, as text tools expect it. `exact` (--no-newline): standard output stays as it is; the line end
  // goes to standard error when both are a terminal, so that notes begin a row.
  void Finish(bool exact) {
    if (out_.json() || last_ == 0 || last_ == '\n') return;
    if (!exact) return out_.Text("\n");
    if (out_.show_progress() && isatty(STDOUT_FILENO) == 1 && isatty(STDERR_FILENO) == 1) std::fputc('\n', stderr);
  }

 private:
  bool has_text_;
  Output& out_;
  char last_ = 0;  // the last printed byte
};

class GenerateCommand : public Command {
 public:
  std::string Name() const override { return "generate"; }
  std::string Summary() const override { return "Continue a text, or answer a message, token by token"; }
  std::string Examples() const override {
    return "  stablelm generate \"What is 12 + 30?\"\n"
           "  stablelm generate -m models/stablelm-3b \"The capital of France is\" --max-new-tokens 20\n"
           "  stablelm generate -m models/stablelm-3b --file story.txt --temperature 0.7 --top-p 0.9 --seed 1\n"
           "  stablelm generate -m models/stablelm-3b --ids \"12 345 6\" --json\n"
           "  stablelm generate -m models/stablelm-tuned-3b --user \"What's your mood today?\"\n"
           "  stablelm generate -m models/stablelm-tuned-3b --user \"Name a colour\" --samples 5 --temperature 1\n"
           "  stablelm generate -m models/stablelm-3b \"Once upon\" --beams 4 --num-return 2 --max-new-tokens 20\n"
           "  stablelm generate -m models/stablelm-3b --input prompts.jsonl --output out.jsonl --parallel 16\n"
           "  stablelm generate -m models/stablelm-tuned-3b --quantize Q4_K_M --user \"Hello\"\n"
           "  stablelm generate -m models/stablelm-tuned-3b --show-config\n"
           "\n"
           "A PROMPT is continued raw: no chat markers are added. --user and --messages are written with the model's\n"
           "chat template instead (stablelm prompt shows it). Settings come from the options, else --preset, else the\n"
           "model's files; a model that is not tuned for chat is greedy by default.\n"
           "\n"
           "Without -m and STABLELM_MODEL the small model that comes with stablelm answers, and a PROMPT is a message\n"
           "to it, as with --user (with --parse-special it is continued raw); --ids need -m. stablelm chat --help "
           "tells of others.\n"
           "\n"
           "With --json: prompt_ids, ids (a stop token included), logprobs (natural logarithms under the\n"
           "unchanged logits), text (without the stop token; null when the folder has no tokenizer), finish_reason\n"
           "(stop, length, context, time, cancelled), stop_id or stop_string after a stop, seed, counts, seconds,\n"
           "with a conversation dropped (what did not fit), after a shift of the context shift (times,\n"
           "dropped_tokens, approximate), with --quantize its type, with --lora the adapters, with --compute fast\n"
           "that, and peak_bytes: the largest resident memory of the whole process, pages of mapped weight files\n"
           "included. --samples and --num-return above 1 give a list, choices.\n"
           "--input reads lines such as {\"prompt\": \"Once upon\", \"temperature\": 0.5}; docs/generating.md has all\n"
           "of it. A run that was interrupted goes on when the same command is given again.\n"
           "Ctrl-C ends with what has been generated so far and exit code 130.";
  }
  unsigned Takes() const override {
    return kTakesModel | kModelOptional | kTakesThreads | kTakesDtype | kTakesLora | kTakesKv | kTakesActivation;
  }
  void AddOptions(CLI::App& app) override {
    BeginGroup(app, "The prompt");
    AddTextInput(app, input_, "PROMPT");
    AddText(app, "--ids", "IDS", ids_,
            "Token ids instead of text: \"1 2 3\", or - for standard input; needs no tokenizer");
    AddConversationInput(app, conversation_);
    AddFlag(app, "--parse-special", parse_special_,
            "Recognise special tokens such as <|USER|> in the prompt's text (default: they are text)");
    AddGenerationOptions(app, generation_, &details_.no_reply);
    BeginGroup(app, "How tokens are chosen");
    AddNumber(app, "--seed", seed_, Limits<uint64_t>{},
              "Seed of the random choices (default, and with -1 or random: a random one, which is reported)");
    BeginGroup(app, "Several replies");
    AddNumber(app, "--samples", samples_, Limits<int64_t>{1, 4096},
              "Sample N replies to one prompt, whose computation they share (default: 1)");
    AddBeamOptions(app, beams_);
    BeginGroup(app, "Many prompts");
    AddManyPrompts(app, files_);
    AddEngineOptions(app, engine_);
    BeginGroup(app, "The context");
    AddContext(app, context_, "Most tokens of prompt and reply together");
    AddContextOptions(app, conversation_);
    BeginGroup(app, "What is shown");
    AddReplyDetails(app, details_);
    AddFlag(app, "--show-config", show_config_,
            "Print the settings and stop ids in force and where each comes from, and end; no prompt is needed");
    AddFlag(app, "--no-newline", no_newline_,
            "Print exactly the reply's bytes (default: a line end is added when the text does not end with one)");
    AddCheckWeights(app, check_weights_);
  }
  int Run(Output& out) override;

 private:
  bool Many() const { return !files_.input.empty(); }
  // `--user TEXT -`: standard input follows the message.
  bool AppendsInput() const { return conversation_.user && input_.text == "-"; }
  void CheckInput() const;
  // Makes the text of the prompt a message: --user.
  void AskPrompt(Output& out);
  void CheckKind(bool json) const;
  OnePrompt ReadPrompt(const GenerationPlan& plan, ModelOfCommand& model, const ModelDefaults& defaults,
                       Output& out) const;
  int GenerateOne(const OnePrompt& prompt, const GenerateRun& run) const;
  void Report(const OnePrompt& prompt, const GenerateResult& result, const GenerateRun& run) const;

  TextInput input_;
  ConversationInput conversation_;
  ManyPrompts files_;
  GenerationOptions generation_;
  BeamFlags beams_;
  EngineOptions engine_;
  ReplyDetails details_;
  std::optional<std::string> ids_;
  std::optional<uint64_t> seed_;
  std::optional<int64_t> context_;
  int64_t samples_ = 1;
  bool parse_special_ = false, check_weights_ = false, show_config_ = false, no_newline_ = false;
  bool asks_ = false;  // the bundled model gets PROMPT as a message: it is made for chat and continues texts badly
};

// A model in the place of the prompt: `generate model.gguf`. A folder or file that is no model is text.
bool IsModelForPrompt(const std::string& prompt) {
  if (!NamesModel(prompt)) return false;
  if (prompt.ends_with(".gguf") && prompt.find(' ') == prompt.npos) return true;  // also one that is missing
  try {
    return ModelSource::Open(prompt)->HasConfig();
  } catch (const Error&) {
    return false;
  }
}

// Checks that the prompt is given exactly one way.
void GenerateCommand::CheckInput() const {
  const auto refuse = [](const char* where, const char* what) {
    throw UsageError({.where = where, .what = what, .hint = "leave one of them out"});
  };
  const bool text = input_.text || !input_.file.empty();
  if (Many() && (ids_ || text || conversation_.Given())) {
    refuse("--input", "the prompt is given twice, in a file of prompts and by itself");
  }
  if (Many()) return RequireOtherOutput(files_);
  if (!files_.output.empty()) {
    throw UsageError({.where = "--output",
                      .what = "is for the results of --input, which was not given",
                      .hint = files_.output == "-"
                                  ? "leave it out"
                                  : "`> " + ShellWord(files_.output) + "` writes one reply into a file"});
  }
  if (ids_ && text) refuse("--ids", "the prompt is given twice, as ids and as text");
  if (asks_) return;
  if (!conversation_.Given()) return conversation_.RequireNoConversationOptions();
  const char* option = conversation_.user ? "--user" : "--messages";
  const bool apart = text && !(AppendsInput() && input_.file.empty());
  if (ids_ || apart) refuse(option, "the prompt is given twice, as a conversation and as it is");
  if (parse_special_) {
    refuse("--parse-special", "contradicts a conversation, whose texts are never searched for tokens");
  }
}

// Refuses kinds of generation that do not combine.
void GenerateCommand::CheckKind(bool json) const {
  const auto refuse = [](const char* where, const char* what, const char* hint) {
    throw UsageError({.where = where, .what = what, .hint = hint});
  };
  beams_.Check();
  if (conversation_.policy == ContextPolicy::kShift && (Many() || beams_.Wanted() || samples_ > 1)) {
    refuse("--context-policy", "shift is for one reply at a time",
           "leave out --input, --beams and --samples, or shift");
  }
  if (beams_.Wanted()) {
    if (Many()) refuse("--beams", "searches for one prompt at a time", "leave --input out, or --beams");
    if (samples_ > 1)
      refuse("--samples", "contradicts --beams, which draws nothing", "--num-return gives several beams");
    if (generation_.settings.preset && *generation_.settings.preset != Preset::kGreedy) {
      refuse("--preset", "contradicts --beams, which draws nothing", "leave one of them out");
    }
    const SettingValues& values = generation_.settings.values;
    const auto do_sample = values.find("do_sample");
    if (do_sample == values.end() ? AsksForSampling(values) == true : do_sample->second != 0) {
      refuse("--beams", "draws nothing, and --do-sample, --temperature or another option asks for draws",
             "leave one of them out");
    }
    if (details_.top_logprobs > 0) refuse("--top-logprobs", "is not told of beams", "leave it out");
    if (details_.prompt_logprobs) refuse("--prompt-logprobs", "is not told of beams", "leave it out");
  }
  if (details_.no_reply && (Many() || !details_.prompt_logprobs)) {
    throw UsageError({.where = "--max-new-tokens",
                      .what = "number out of range",
                      .found = "\"0\"",
                      .expected = "at least 1; 0 with --prompt-logprobs alone",
                      .hint = "stablelm score gives the log-probabilities of many texts"});
  }
  const char* detail = DetailOnlyInJson(details_);
  if (detail && !Many() && !json) refuse(detail, "shows in JSON alone", "give --json");
  if (!Many() && samples_ == 1) {
    const char* hint = "leave it out, or give --input or --samples";
    if (engine_.parallel) refuse("--parallel", "is for many replies, and one is asked for", hint);
    if (engine_.cache_tokens) refuse("--cache-tokens", "is for many replies, and one is asked for", hint);
  }
}

void GenerateCommand::AskPrompt(Output& out) {
  std::string text = show_config_ ? "" : ReadTextInput(input_, out);
  if (!input_.text || input_.text == "-") DropLineEnd(text);  // that of `echo` and of a file
  if (text.empty() && !show_config_) {
    throw Error({.where = "the prompt",
                 .what = "empty: there is no message to answer",
                 .hint = "stablelm generate \"What is 12 + 30?\""});
  }
  conversation_.user = std::move(text);
  input_.text.reset();
  input_.file.clear();
}

OnePrompt GenerateCommand::ReadPrompt(const GenerationPlan& plan, ModelOfCommand& model, const ModelDefaults& defaults,
                                      Output& out) const {
  OnePrompt prompt;
  GenerateRequest& request = prompt.request;
  plan.Apply(generation_.ignore_eos, request);
  request.seed = seed_ ? *seed_ : RandomSeed();
  request.top_logprobs = details_.top_logprobs;
  if (model.tokenizer()) request.tokenizer = *model.tokenizer();
  if (!request.stop_strings.empty()) model.RequireTokenizer("--stop-id 5");
  const ContextLimits limits = LimitsOf(conversation_, model.config().max_positions, model.longest_context());
  const char* instead = "--ids \"1 2 3\"";
  if (conversation_.Given()) {
    ConversationInput given = conversation_;
    given.replace_invalid = input_.replace_invalid;
    if (AppendsInput()) given.user = WithStandardInput(*given.user, input_.replace_invalid, out);
    PromptOfCommand conversation = PromptFor(given, model.RequireTokenizer(instead), defaults, limits, out);
    request.keep_on_shift = KeepOnShift(conversation.fitted.prompt, conversation_.policy);
    request.prompt = std::move(conversation.fitted.prompt.ids);
    prompt.where = conversation.where;
    prompt.dropped = {.messages = conversation.fitted.dropped_messages, .tokens = conversation.fitted.dropped_tokens};
    return prompt;
  }
  prompt.where = ids_ ? "--ids" : "the prompt";
  request.keep_on_shift = KeepOnShift({}, conversation_.policy);
  request.prompt =
      ids_ ? ParseIds(*ids_ == "-" ? ReadFileOrPipe("-") : *ids_, "--ids")
           : model.RequireTokenizer(instead).Encode(ReadTextInput(input_, out), {.parse_special = parse_special_});
  RequireContext(static_cast<int64_t>(request.prompt.size()), limits, prompt.where);
  CheckTokenIds(request.prompt, model.config(), prompt.where);
  return prompt;
}

int GenerateCommand::Run(Output& out) {
  asks_ = common.model.empty() && !conversation_.Given() && !ids_ && !Many() && !parse_special_;
  if (!show_config_) CheckInput();
  CheckKind(out.json());
  if (common.model.empty() && ids_) {
    throw UsageError({.where = "--ids",
                      .what = "ids belong to the tokenizer of one model, and no model was named",
                      .expected = "-m MODEL beside them: the model whose ids they are",
                      .hint = "-m MODEL, or the environment variable STABLELM_MODEL"});
  }
  if (common.model.empty() && IsModelForPrompt(input_.text.value_or(""))) {
    RequireModel(common, input_.text.value_or(""));
  }
  TakeBundledModel(common);
  if (common.bundled && !show_config_) {
    out.Note(kBundledModelNote + std::string(asks_ ? ". The prompt is a message to it, as with --user" : ""));
  }
  if (asks_) AskPrompt(out);
  ModelOfCommand model(common, out, context_);
  const Tokenizer* tokenizer = model.tokenizer();
  const ModelDefaults defaults = model.ReadDefaults(tokenizer);
  for (const std::string& warning : defaults.warnings) out.Warning(warning);
  std::optional<PromptTemplate> prompt_template = conversation_.prompt_template;
  if (!prompt_template && conversation_.Given() && defaults.record) prompt_template = defaults.record->prompt_template;
  GenerationOptions generation = generation_;
  if (details_.no_reply) generation.settings.values["max_new_tokens"] = 1;
  if (beams_.Wanted()) generation.greedy = true;
  const GenerationPlan plan = PlanGeneration(generation, model.config(), tokenizer, defaults, prompt_template);
  if (show_config_) {
    PrintPlan(plan, model, defaults, out);
    return kExitOk;
  }
  if (Many()) {
    ManyRun run = {.tasks = {.generation = generation_,
                             .conversation = conversation_,
                             .details = details_,
                             .longest_context = model.longest_context(),
                             .samples = samples_,
                             .parse_special = parse_special_},
                   .seed = seed_,
                   .engine = engine_,
                   .check_weights = check_weights_};
    run.tasks.conversation.replace_invalid = input_.replace_invalid;
    return GenerateMany(files_, std::move(run), model, defaults, common, out);
  }
  ReplyDetails details = details_;
  details.logprobs = true;  // always in the JSON of a single prompt
  const GenerateRun run = {
      .model = model, .common = common, .details = details, .check_weights = check_weights_, .out = out};
  const OnePrompt prompt = ReadPrompt(plan, model, defaults, out);
  if (beams_.Wanted()) return GenerateBeams(prompt, beams_, run);
  if (samples_ > 1 || details_.prompt_logprobs) return GenerateSamples(prompt, samples_, engine_, run);
  return GenerateOne(prompt, run);
}

int GenerateCommand::GenerateOne(const OnePrompt& prompt, const GenerateRun& run) const {
  const GenerateRequest& request = prompt.request;
  const RunShape shape =
      ShapeOfGenerate(run.model.config(), request, common.kv, static_cast<size_t>(common.threads), prompt.where);
  run.model.Load(shape, check_weights_);
  const InterruptGuard guard;
  Printer printer(request.tokenizer.has_value(), run.out);
  if (details_.echo) printer.Echo(request);
  const GenerateResult result = Generate(run.model.model(), request, shape, run.model.pool(),
                                         {.on_token = [&](const ChosenToken& token) { printer.AddId(token.id); },
                                          .on_text = [&](std::string_view text) { printer.Print(text); }},
                                         &InterruptFlag());
  printer.Finish(no_newline_);
  if (result.shifts > 0) run.out.Warning(ShiftText(result));
  Report(prompt, result, run);
  return result.reason == FinishReason::kCancelled ? kExitInterrupted : kExitOk;
}

void GenerateCommand::Report(const OnePrompt& one, const GenerateResult& result, const GenerateRun& run) const {
  const GenerateRequest& request = one.request;
  Output& out = run.out;
  const size_t prompt = request.prompt.size(), generated = result.ids.size();
  if (out.json()) {
    JsonValue object = {{"prompt_ids", request.prompt}};
    object.Update(ReplyJson(run.details, request.tokenizer ? &*request.tokenizer : nullptr, request.prompt).Of(result));
    AddRunFacts(one, run, generated, true,
                {{"load", run.model.load_seconds()}, {"prefill", result.prefill_s}, {"decode", result.decode_s}},
                object);
    if (result.shifts > 0) object["shift"] = ShiftJson(result);
    out.Json(object);
    return;
  }
  out.Flush();
  std::string note = Counted(generated, "token") + " (" + NameOf(result.reason) + ")";
  // The prefill pass produces the first token.
  if (generated > 1) {
    note += " at " + Rounded(static_cast<double>(generated - 1) / result.decode_s, 2) + " tokens/s";
  }
  note += ", prompt of " + std::to_string(prompt) + " in " + Rounded(result.prefill_s, 2) + " s, load " +
          Rounded(run.model.load_seconds(), 2) + " s; seed " + std::to_string(request.seed) +
          (request.sampling.Greedy() ? " (unused: greedy)" : "");
  out.Note(note);
  if (result.forced_tokens > 0) {
    out.Warning(Counted(result.forced_tokens, "token was", "tokens were") +
                " chosen although the settings removed every one: the best of the last ones left");
  }
}

}  // namespace

std::unique_ptr<Command> MakeGenerate() { return std::make_unique<GenerateCommand>(); }

}  // namespace stablelm
