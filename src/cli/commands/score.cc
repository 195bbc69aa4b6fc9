// stablelm score: log-probabilities of given tokens under a model.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "cli/app/wrapped_text.h"
#include "cli/commands/score_input.h"
#include "cli/commands/score_tensors.h"
#include "generate/scoring.h"
#include "model/pass_hooks.h"

namespace stablelm {
namespace {

struct Totals {
  size_t tokens = 0;  // in all sequences
  size_t scored = 0;  // tokens that have a log-probability
  double sum = 0;

  void Add(const std::vector<int32_t>& ids, const std::vector<double>& logprobs) {
    tokens += ids.size();
    scored += logprobs.size();
    sum += std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
  }
  double MeanNll() const { return -sum / static_cast<double>(scored); }  // scored > 0
};

class Score : public Command {
 public:
  std::string Name() const override { return "score"; }
  std::string Summary() const override { return "Log-probabilities and perplexity of given texts or ids"; }
  std::string Examples() const override {
    return "  stablelm score -m models/stablelm-3b \"The capital of France is Paris\"\n"
           "  stablelm score -m models/stablelm-3b --file chapter.txt --context 2048\n"
           "  stablelm score -m models/stablelm-3b --jsonl lines.jsonl --json\n"
           "  stablelm score -m models/stablelm-3b --ids-file ids.json --save-logits logits.safetensors\n"
           "\n"
           "Every token but the first is scored, given those before it. With --json, a line per sequence: index, ids,\n"
           "logprobs (natural logarithms, one fewer than ids), sum_logprob, mean_nll, perplexity; the last two are\n"
           "null for a single id. Text is taken as it is: nothing is stripped, special tokens are plain text.\n"
           "--save-logits writes logits.S [T, V], --save-hidden writes hidden.S.L [T, C] for sequence S and\n"
           "L = 0 (embeddings) to the number of layers (after the final norm), fp32.";
  }
  unsigned Takes() const override {
    return kTakesModel | kTakesThreads | kTakesDtype | kTakesLora | kTakesKv | kTakesActivation;
  }
  void AddOptions(CLI::App& app) override {
    AddText(app, "TEXT", "TEXT", input_.text, "A text, scored as one sequence (- is standard input)");
    AddText(app, "--ids-file", "FILE", input_.ids_file,
            "Token ids: [[1, 2, 3], [4, 5]], one list [1, 2, 3], or a line of numbers for each list");
    AddText(app, "--file", "FILE", input_.text_file, "A text, scored as one sequence (- is standard input)");
    AddText(app, "--jsonl", "FILE", input_.lines_file, "One JSON object per line, with \"text\" or \"ids\"");
    AddChoice(app, "--invalid-utf8", {"error", "replace"},
              "What to do with bytes that are not UTF-8: refuse (default), or put U+FFFD in their place",
              [this](size_t i) { input_.replace_invalid = i == 1; });
    AddContext(app, context_, "Score longer sequences in pieces of N tokens, each by itself");
    AddText(app, "--save-logits", "FILE", logits_path_, "Write the logits of every token to a safetensors file");
    AddText(app, "--save-hidden", "FILE", hidden_path_, "Write all hidden states to a safetensors file");
    AddCheckWeights(app, check_weights_);
  }
  int Run(Output& out) override;

 private:
  void CheckUsage() const;
  void Print(size_t index, const std::vector<int32_t>& ids, const std::vector<double>& logprobs, Output& out) const;

  ScoreInput input_;
  std::string logits_path_, hidden_path_;
  std::optional<int64_t> context_;
  bool check_weights_ = false;
};

void Score::CheckUsage() const {
  const int named =
      input_.text.has_value() + !input_.ids_file.empty() + !input_.text_file.empty() + !input_.lines_file.empty();
  if (named != 1) {
    throw UsageError({.where = "score",
                      .what = named == 0 ? "nothing to score was given" : "more than one input was given",
                      .expected = "one of TEXT, --file, --jsonl, --ids-file",
                      .hint = named == 0 ? "such as `stablelm score -m MODEL --file TEXT`" : "leave out all but one"});
  }
  for (const auto& [option, path] : {std::pair("--save-logits", &logits_path_), {"--save-hidden", &hidden_path_}}) {
    if (*path != "-") continue;
    throw UsageError({.where = option,
                      .what = "a safetensors file is not written to standard output",
                      .found = Quoted(*path),
                      .expected = "the name of a file",
                      .hint = "such as scores.safetensors"});
  }
  if (!logits_path_.empty() && logits_path_ == hidden_path_) {
    throw UsageError({.where = "--save-hidden",
                      .what = "names the same file as --save-logits",
                      .found = Quoted(hidden_path_),
                      .hint = "name two files"});
  }
}

std::string TableRow(const std::string& index, const Totals& totals) {
  char line[160];
  if (totals.scored == 0) {
    std::snprintf(line, sizeof line, "%5s %8zu %13.4f %9s %10s\n", index.c_str(), totals.tokens, totals.sum, "-", "-");
  } else {
    std::snprintf(line, sizeof line, "%5s %8zu %13.4f %9.4f %10.4f\n", index.c_str(), totals.tokens, totals.sum,
                  totals.MeanNll(), std::exp(totals.MeanNll()));
  }
  return line;
}

void Score::Print(size_t index, const std::vector<int32_t>& ids, const std::vector<double>& logprobs,
                  Output& out) const {
  Totals totals;
  totals.Add(ids, logprobs);
  if (!out.json()) {
    PrintWrapped(out, TableRow(std::to_string(index), totals));
    out.Flush();
    return;
  }
  JsonValue object = {{"index", index},       {"ids", ids},
                      {"logprobs", logprobs}, {"sum_logprob", totals.sum},
                      {"mean_nll", nullptr},  {"perplexity", nullptr}};
  if (totals.scored > 0) {
    object["mean_nll"] = totals.MeanNll();
    object["perplexity"] = std::exp(totals.MeanNll());
  }
  out.Json(object);
}

int Score::Run(Output& out) {
  CheckUsage();
  RequireModel(common, input_.text.value_or(""));
  ModelOfCommand model(common, out, context_);
  input_.window = context_;
  const std::vector<std::vector<int32_t>> sequences = ReadScoreInput(input_, model);
  size_t longest = 0;
  for (const auto& ids : sequences) longest = std::max(longest, ids.size());

  const InterruptGuard guard;  // an interrupted run removes its unfinished files
  ScoreTensors tensors(logits_path_, hidden_path_, model.config(), sequences);
  const RunShape run = ShapeOfScore(static_cast<int64_t>(longest), common.kv, common.threads);
  model.Load(run, check_weights_);
  Scorer scorer(model.model(), run, model.pool());

  if (!out.json()) PrintWrapped(out, "index   tokens   sum_logprob  mean_nll perplexity\n");
  Totals all;
  for (size_t s = 0; s < sequences.size(); ++s) {
    std::vector<double> logprobs;
    try {
      if (Interrupted()) throw Cancelled();
      logprobs = scorer.Score(sequences[s], tensors.SinksOf(s), &InterruptFlag());
    } catch (const Cancelled&) {
      out.Flush();
      out.Note("interrupted after " + std::to_string(s) + " of " + Counted(sequences.size(), "sequence"));
      return kExitInterrupted;
    }
    all.Add(sequences[s], logprobs);
    Print(s, sequences[s], logprobs, out);
  }
  tensors.Commit();
  if (!out.json() && sequences.size() > 1) PrintWrapped(out, TableRow("all", all));
  return kExitOk;
}

}  // namespace

std::unique_ptr<Command> MakeScore() { return std::make_unique<Score>(); }

}  // namespace stablelm
