// stablelm generate: the raw continuation of a text or of ids, as it comes.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "base/system.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_loading.h"
#include "cli/options.h"
#include "generate/generator.h"
#include "generate/text_stream.h"

namespace stablelm {
namespace {

// What is printed while tokens come, and what is remembered for --json: text without the stop token, or ids where the
// folder has no tokenizer.
class GeneratedText {
 public:
  GeneratedText(const Tokenizer* tokenizer, const std::vector<int32_t>& stop_ids, Output& out) : out_(out) {
    if (tokenizer) stream_.emplace(*tokenizer, stop_ids);
  }

  void Add(int32_t id) {
    if (stream_) return Print(stream_->Add(id));
    Print(std::string(all_.empty() ? "" : " ").append(std::to_string(id)));
  }
  void Finish() {
    if (stream_) Print(stream_->Finish());
    // A shell prompt should not stick to the text; a pipe gets the text alone.
    const bool line_open = !all_.empty() && all_.back() != '\n';
    if (!out_.json() && line_open && (!stream_ || isatty(STDOUT_FILENO) == 1)) out_.Text("\n");
  }
  const std::string& text() const { return all_; }

 private:
  void Print(const std::string& text) {
    if (text.empty()) return;
    all_ += text;
    if (out_.json()) return;
    out_.Text(text);
    out_.Flush();
  }

  std::optional<TextStream> stream_;
  Output& out_;
  std::string all_;
};

std::string Rounded(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

class GenerateCommand : public Command {
 public:
  std::string Name() const override { return "generate"; }
  std::string Summary() const override { return "Continue a text, token by token"; }
  std::string Examples() const override {
    return "  stablelm generate -m models/stablelm-3b \"The capital of France is\" --max-new-tokens 20\n"
           "  stablelm generate -m models/stablelm-3b --file story.txt --temperature 0.7 --top-p 0.9 --seed 1\n"
           "  stablelm generate -m models/stablelm-3b --ids \"12 345 6\" --json\n"
           "\n"
           "Greedy unless --temperature, --top-k or --top-p is given. The continuation is raw: no chat markers are\n"
           "added. With --json: prompt_ids, ids (a stop token included), logprobs (natural logarithms under the\n"
           "unchanged logits), text (without the stop token; null when the folder has no tokenizer), finish_reason\n"
           "(stop, length, context, cancelled), seed, counts, seconds, and peak_bytes: the largest resident memory\n"
           "of the whole process, pages of mapped weight files included.\n"
           "Ctrl-C ends with what has been generated so far and exit code 130.";
  }
  unsigned Takes() const override { return kTakesModel | kTakesThreads | kTakesDtype | kTakesKv; }
  void AddOptions(CLI::App& app) override {
    AddTextInput(app, input_, "PROMPT");
    AddText(app, "--ids", "IDS", ids_, "Token ids instead of text: \"1 2 3\"; needs no tokenizer");
    AddNumber(app, "--max-new-tokens", max_new_tokens_, Limits<int64_t>{1, int64_t{1} << 31},
              "Tokens to generate at most (default: up to the end of the model's context)");
    AddNumber(app, "--temperature", temperature_, Limits<double>{0, 1e6},
              "Draw from softmax(logits / N); 0 is greedy (default when drawing: 1)");
    AddNumber(app, "--top-k", top_k_, Limits<int64_t>{0, int64_t{1} << 31},
              "Draw among the N most likely tokens, ties included; 0 for all");
    AddNumber(app, "--top-p", top_p_, Limits<double>{0, 1},
              "Draw among the most likely tokens whose probabilities reach N");
    AddNumber(app, "--seed", seed_, Limits<uint64_t>{}, "Seed of the draws (default: random, reported)");
    AddFlag(app, "--greedy", greedy_, "Always the most likely token, the lowest id among equals");
    AddFlag(app, "--ignore-eos", ignore_eos_, "Never choose an end token");
    AddFlag(app, "--parse-special", parse_special_,
            "Recognise special tokens such as <|USER|> in the prompt's text (default: they are text)");
    AddCheckWeights(app, check_weights_);
  }
  int Run(Output& out) override;

 private:
  SamplingOptions Sampling() const;
  std::vector<int32_t> Prompt(ModelOfCommand& model, Output& out) const;
  void Report(const GenerateRequest& request, const GenerateResult& result, const ModelOfCommand& model,
              const std::optional<std::string>& text, Output& out) const;

  TextInput input_;
  std::optional<std::string> ids_;
  std::optional<int64_t> max_new_tokens_;
  std::optional<double> temperature_, top_p_;
  std::optional<int64_t> top_k_;
  std::optional<uint64_t> seed_;
  bool greedy_ = false, ignore_eos_ = false, parse_special_ = false, check_weights_ = false;
};

SamplingOptions GenerateCommand::Sampling() const {
  const bool draws = (temperature_ && *temperature_ > 0) || (!temperature_ && (top_k_ || top_p_));
  if (greedy_ && draws) {
    throw UsageError({.where = "--greedy",
                      .what = "contradicts --temperature, --top-k and --top-p, which ask for draws",
                      .found = {},
                      .expected = {},
                      .hint = "leave one of them out"});
  }
  SamplingOptions sampling;
  if (draws) {
    sampling.temperature = temperature_.value_or(1);
    sampling.top_k = top_k_.value_or(0);
    sampling.top_p = top_p_.value_or(1);
  }
  return sampling;
}

std::vector<int32_t> GenerateCommand::Prompt(ModelOfCommand& model, Output& out) const {
  if (ids_ && (input_.text || !input_.file.empty())) {
    throw UsageError({.where = "--ids",
                      .what = "the prompt is given twice, as ids and as text",
                      .found = {},
                      .expected = {},
                      .hint = "leave one of them out"});
  }
  if (ids_) return ParseIds(*ids_, "--ids");
  const Tokenizer& tokenizer = model.RequireTokenizer("--ids \"1 2 3\"");
  return tokenizer.Encode(ReadTextInput(input_, out), {.parse_special = parse_special_});
}

int GenerateCommand::Run(Output& out) {
  GenerateRequest request;
  request.sampling = Sampling();
  request.max_new_tokens = max_new_tokens_;
  request.seed = seed_ ? *seed_ : RandomSeed();
  ModelOfCommand model(common, out);
  request.prompt = Prompt(model, out);
  (ignore_eos_ ? request.banned_ids : request.stop_ids) = model.config().eos_ids;
  const RunShape run =
      ShapeOfGenerate(model.config(), request, common.kv, common.threads, ids_ ? "--ids" : "the prompt");
  const Tokenizer* tokenizer = model.tokenizer();
  model.Load(run, check_weights_);

  const InterruptGuard guard;
  GeneratedText text(tokenizer, request.stop_ids, out);
  const GenerateResult result =
      Generate(model.model(), request, run, model.pool(),
               {.on_token = [&](const ChosenToken& token) { text.Add(token.id); }, .cancel = &InterruptFlag()});
  text.Finish();
  Report(request, result, model, tokenizer ? std::optional(text.text()) : std::nullopt, out);
  return result.reason == FinishReason::kCancelled ? kExitInterrupted : kExitOk;
}

void GenerateCommand::Report(const GenerateRequest& request, const GenerateResult& result, const ModelOfCommand& model,
                             const std::optional<std::string>& text, Output& out) const {
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
    if (text) object["text"] = *text;
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
}

}  // namespace

std::unique_ptr<Command> MakeGenerate() { return std::make_unique<GenerateCommand>(); }

}  // namespace stablelm
