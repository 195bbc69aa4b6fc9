#include "eval/quality_gate.h"

#include <algorithm>
#include <cstdio>

#include "base/counted.h"
#include "base/error.h"
#include "base/sha256.h"
#include "base/system.h"
#include "eval/model_comparison.h"
#include "model/forward_context.h"
#include "model/load.h"
#include "model/memory_plan.h"

namespace stablelm {
namespace {

constexpr int64_t kGateWindow = 512;

template <typename Work>
void RunModel(std::shared_ptr<const ModelFolder> folder, const QualityRun& run, const char* label,
              const std::vector<TextWindow>& windows, const Work& work) {
  ThreadPool pool(run.threads);
  const Transformer model(LoadWeights(std::move(folder), {.show_progress = run.show_progress, .pool = &pool}));
  Progress progress(label, PredictedTokens(windows), Progress::Unit::kItems, run.show_progress);
  work(model, pool, WindowsPass{.hooks = {.leave = LeaveWhenSet(run.cancel)}, .progress = &progress});
  progress.Finish();
}

}  // namespace

void QualityGate::RunSource(std::shared_ptr<const ModelFolder> source, const std::vector<DType>& types,
                            const std::filesystem::path& folder, const QualityText& text) {
  const ModelConfig config = source->config();
  ids_ = source->source().ReadTokenizer({.model_vocab_size = config.vocab_size}).Encode(text.utf8);
  if (ids_.size() < 2) {
    throw Error({.where = text.name,
                 .what = "too short to compare models on",
                 .found = Counted(ids_.size(), "token"),
                 .expected = "at least 2, better some thousands",
                 .hint = "take a longer text"});
  }
  ids_.resize(std::min(ids_.size(), static_cast<size_t>(text.most_tokens)));
  record_ = {.text = text.name == "-" ? "-" : std::filesystem::path(text.name).filename().string(),
             .text_sha256 = Sha256Hex(text.utf8),
             .window = static_cast<uint64_t>(std::min(kGateWindow, config.max_positions)),
             .quality = {}};
  const auto length = static_cast<int64_t>(record_.window);
  const std::vector<TextWindow> windows = TextWindows(ids_, length);
  const RunShape shape = ShapeOfWindows(length, true, run_.threads);
  // Check that both runs fit before the first one starts.
  RequireFits(PlanMemory(config, PlanWeights(*source, {}), shape), AvailableMemory());
  MemoryPlan second = PlanMemory(config, PlanWeights(*source, {.types = types}), shape);
  second.parts.push_back({"logits of the source model", ForwardContext::LogitBytes(config, shape), false});
  RequireFits(second, AvailableMemory());
  logits_.emplace(folder, PredictedTokens(windows), static_cast<size_t>(config.vocab_size));
  RunModel(std::move(source), run_, "Source model", windows,
           [&](const Transformer& model, ThreadPool& pool, const WindowsPass& pass) {
             SaveLogits(model, shape, pool, windows, pass, *logits_);
           });
}

void QualityGate::RunFile(const std::filesystem::path& file) {
  const auto length = static_cast<int64_t>(record_.window);
  const std::vector<TextWindow> windows = TextWindows(ids_, length);
  const RunShape shape = ShapeOfWindows(length, true, run_.threads);
  RunModel(ModelFolder::Open(ModelSource::OpenGguf(file)), run_, "Quantized model", windows,
           [&](const Transformer& model, ThreadPool& pool, const WindowsPass& pass) {
             record_.quality = SummarizeDivergences(CompareWithSaved(model, shape, pool, windows, pass, *logits_));
           });
  logits_.reset();
}

void RequireQuality(const Quality& quality, double max_kl) {
  if (quality.mean_kl <= max_kl) return;
  char found[64], allowed[64];
  std::snprintf(found, sizeof found, "%.6g", quality.mean_kl);
  std::snprintf(allowed, sizeof allowed, "%.6g", max_kl);
  throw Error({.where = "`max_kl`",
               .what = "the quantized model is too far from the source model, and was not written",
               .found = std::string("a mean KL divergence of ") + found,
               .expected = std::string("at most ") + allowed,
               .hint = "a larger `type`, a `tensor` rule or an `imatrix` loses less"});
}

}  // namespace stablelm
