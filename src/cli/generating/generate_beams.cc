#include "cli/generating/generate_beams.h"

#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/system.h"
#include "cli/app/interrupt.h"

namespace stablelm {
namespace {

GenerateResult AsReply(const BeamResult& beam) {
  GenerateResult result;
  result.ids = beam.ids;
  result.logprobs = beam.logprobs;
  result.text = beam.text;
  result.reason = beam.reason;
  result.stop = beam.stop;
  return result;
}

void PrintJson(const OnePrompt& prompt, const BeamSearchResult& result, const ReplyJson& reply,
               const GenerateRun& run) {
  JsonValue choices = JsonValue::Array();
  size_t generated = 0;
  for (const BeamResult& beam : result.beams) {
    JsonValue choice = {{"index", choices.size()}, {"score", beam.score}};
    choice.Update(reply.Of(AsReply(beam)));
    choices.push_back(std::move(choice));
    generated += beam.ids.size();
  }
  JsonValue object = {{"prompt_ids", prompt.request.prompt}, {"choices", choices}};
  AddRunFacts(prompt, run, generated, false,
              {{"load", run.model.load_seconds()}, {"prefill", result.prefill_s}, {"decode", result.decode_s}}, object);
  run.out.Json(object);
}

}  // namespace

void BeamFlags::Check() const {
  if (Wanted()) return;
  const char* given = num_return       ? "--num-return"
                      : length_penalty ? "--length-penalty"
                      : early_stopping ? "--early-stopping"
                                       : nullptr;
  if (!given) return;
  throw UsageError(
      {.where = given, .what = "is for a beam search", .hint = "give the number of beams, for instance --beams 4"});
}

BeamOptions BeamFlags::Options() const {
  const BeamOptions standard;
  return {.beams = beams,
          .num_return = num_return.value_or(standard.num_return),
          .length_penalty = length_penalty.value_or(standard.length_penalty),
          .early_stopping = early_stopping.value_or(standard.early_stopping)};
}

void AddBeamOptions(CLI::App& app, BeamFlags& flags) {
  AddNumber(app, "--beams", flags.beams, Limits<int64_t>{1, kMostBeams},
            "Search with N beams for the most likely text as a whole; nothing is drawn (default: 1, no search)");
  AddNumber(app, "--num-return", flags.num_return, Limits<int64_t>{1, kMostBeams},
            "With --beams: print the N best texts (default: 1)");
  AddNumber(app, "--length-penalty", flags.length_penalty, Limits<double>{-100, 100},
            "With --beams: a text's score is its log-probability divided by its tokens ^ N; above 0 favours long ones "
            "(default: 1)");
  AddChoice(app, "--early-stopping", {"true", "false", "never"},
            "With --beams: end when N texts are finished (true), when no unfinished one is better now (false, the "
            "default), or when none could become better (never)",
            [&flags](size_t i) {
              constexpr EarlyStopping kInOrder[] = {EarlyStopping::kTrue, EarlyStopping::kFalse, EarlyStopping::kNever};
              flags.early_stopping = kInOrder[i];
            });
}

int GenerateBeams(const OnePrompt& prompt, const BeamFlags& flags, const GenerateRun& run) {
  const BeamOptions options = flags.Options();
  const RunShape shape =
      ShapeOfBeamSearch(run.model.config(), prompt.request, options, run.common.kv, run.common.threads, prompt.where);
  run.model.Load(shape, run.check_weights);
  const InterruptGuard guard;
  const BeamSearchResult result =
      BeamSearch(run.model.model(), prompt.request, options, shape, run.model.pool(), &InterruptFlag());
  const ReplyJson reply(run.details, prompt.request.tokenizer ? &*prompt.request.tokenizer : nullptr,
                        prompt.request.prompt);
  const int code = Interrupted() ? kExitInterrupted : kExitOk;
  if (run.out.json()) {
    PrintJson(prompt, result, reply, run);
    return code;
  }
  for (size_t i = 0; i < result.beams.size(); ++i) {
    PrintReply("beam " + std::to_string(i + 1) + " of " + std::to_string(result.beams.size()) + ", score " +
                   Rounded(result.beams[i].score, 4),
               AsReply(result.beams[i]), reply, run);
  }
  run.out.Note(Counted(options.beams, "beam") + ", prompt of " + Counted(prompt.request.prompt.size(), "token") +
               " in " + Rounded(result.prefill_s, 2) + " s, search " + Rounded(result.decode_s, 2) + " s, load " +
               Rounded(run.model.load_seconds(), 2) + " s");
  return code;
}

}  // namespace stablelm
