// generate --samples, --prompt-logprobs: runs one prompt through the engine.

#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "cli/app/interrupt.h"
#include "cli/generating/engine_options.h"
#include "cli/generating/generate_run.h"
#include "generate/generator.h"

namespace stablelm {
namespace {

// Collects the samples of one prompt.
class Samples {
 public:
  Samples(const OnePrompt& prompt, int64_t samples, const GenerateRun& run)
      : prompt_(prompt),
        run_(run),
        json_(run.details, prompt.request.tokenizer ? &*prompt.request.tokenizer : nullptr, prompt.request.prompt),
        results_(static_cast<size_t>(samples)),
        ended_(results_.size()) {}

  // Prints samples in order, each as soon as it and all earlier ones have ended.
  void Generate(Engine& engine) {
    std::vector<RequestId> ids;
    for (size_t i = 0; i < results_.size(); ++i) {
      EngineRequest request = {.generate = prompt_.request};
      request.generate.sample = i;
      request.prompt_logprobs = run_.details.prompt_logprobs && i == 0;
      ids.push_back(engine.Submit(std::move(request), {.on_end = [this, i](const EngineResult& result) {
                                    results_[i] = result;
                                    if (run_.details.no_reply) DropReply(results_[i].generated);
                                    ended_[i] = true;
                                  }}));
    }
    bool cancelled = false;
    while (printed_ < results_.size()) {
      if (Interrupted() && !cancelled) {
        cancelled = true;
        for (const RequestId id : ids) engine.Cancel(id);
      }
      engine.Step(&InterruptFlag());
      for (; printed_ < results_.size() && ended_[printed_]; ++printed_) Print(printed_);
    }
  }

  void Report(double seconds) const {
    size_t generated = 0;
    for (const EngineResult& result : results_) generated += result.generated.ids.size();
    const double load = run_.model.load_seconds();
    if (!run_.out.json()) {
      run_.out.Flush();
      run_.out.Note(Counted(results_.size(), "sample") + ", " + Counted(generated, "token") + " in " +
                    Rounded(seconds, 2) + " s, prompt of " + Counted(prompt_.request.prompt.size(), "token") +
                    ", load " + Rounded(load, 2) + " s; seed " + std::to_string(prompt_.request.seed));
      return;
    }
    JsonValue object = {{"prompt_ids", prompt_.request.prompt}}, times = {{"load", load}};
    json_.AddPromptLogprobs(results_[0], object);
    if (results_.size() == 1) {
      const GenerateResult& result = results_[0].generated;
      object.Update(json_.Of(result));
      times["prefill"] = result.prefill_s;
      times["decode"] = result.decode_s;
    } else {
      object["choices"] = json_.Choices(results_);
      times["generate"] = seconds;
    }
    AddRunFacts(prompt_, run_, generated, true, times, object);
    run_.out.Json(object);
  }

  bool cancelled() const {
    for (const EngineResult& result : results_) {
      if (result.generated.reason == FinishReason::kCancelled) return true;
    }
    return false;
  }

 private:
  // One token is always generated; its logits come with the prompt's.
  static void DropReply(GenerateResult& result) {
    result.ids.clear();
    result.logprobs.clear();
    result.top.clear();
    result.text.clear();
    result.stop = {};
    if (result.reason == FinishReason::kStop) result.reason = FinishReason::kLength;
  }

  void Print(size_t i) const {
    const EngineResult& result = results_[i];
    if (!result.error.empty()) throw Error({.what = result.error});
    if (run_.out.json()) return;
    PrintReply("sample " + std::to_string(i + 1) + " of " + std::to_string(results_.size()), result.generated, json_,
               run_);
  }

  const OnePrompt& prompt_;
  const GenerateRun& run_;
  ReplyJson json_;
  std::vector<EngineResult> results_;
  std::vector<bool> ended_;
  size_t printed_ = 0;
};

}  // namespace

void RequireSampling(int64_t samples, const SamplingOptions& sampling) {
  if (samples == 1 || !sampling.Greedy()) return;
  throw Error({.where = "--samples",
               .what = "every sample would be the same: the most likely token is always taken",
               .found = std::to_string(samples),
               .expected = "1 without sampling",
               .hint = "ask for sampling, for instance --temperature 0.8"});
}

int GenerateSamples(const OnePrompt& prompt, int64_t samples, const EngineOptions& options, const GenerateRun& run) {
  RequireSampling(samples, prompt.request.sampling);
  const ModelConfig& config = run.model.config();
  const int64_t longest =
      ShapeOfGenerate(config, prompt.request, run.common.kv, run.common.threads, prompt.where).context;
  const EngineSettings settings =
      EngineSettingsFor(options, run.common, run.model, longest, samples, run.details.prompt_logprobs);
  run.model.Load(ShapeOfEngine(settings, run.common.threads), run.check_weights);
  const InterruptGuard guard;
  Samples all(prompt, samples, run);
  const auto start = Clock::now();
  {
    Engine engine(run.model.model(), settings, run.model.pool());
    all.Generate(engine);
  }
  all.Report(SecondsSince(start));
  return all.cancelled() ? kExitInterrupted : kExitOk;
}

}  // namespace stablelm
