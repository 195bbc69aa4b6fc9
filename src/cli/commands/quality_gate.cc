#include "cli/commands/quality_gate.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/json_value.h"
#include "base/sha256.h"
#include "base/system.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "eval/model_comparison.h"
#include "model/forward_context.h"
#include "model/memory_plan.h"

namespace stablelm {
namespace {

constexpr int64_t kWindow = 512;

template <typename Work>
void RunModel(std::shared_ptr<const ModelFolder> folder, const RunShape& run, const char* label,
              const std::vector<TextWindow>& windows, Output& out, const Work& work) {
  ThreadPool pool(run.threads);
  const Transformer model =
      Transformer::Load(std::move(folder), {.dtype = {}, .show_progress = out.show_progress(), .pool = &pool});
  Progress progress(label, PredictedTokens(windows), Progress::Unit::kItems, out.show_progress());
  CancelObserver observer(&InterruptFlag());
  try {
    work(model, pool, WindowsPass{.observer = &observer, .progress = &progress});
  } catch (const Cancelled&) {
    throw InterruptedExit();
  }
  progress.Finish();
}

}  // namespace

void QualityGate::AddOptions(CLI::App& app) {
  AddText(app, "--check", "FILE", text_,
          "Compare the file with the source model on this text, before it appears: KL divergence, first choices, "
          "perplexity");
  AddNumber(app, "--check-tokens", tokens_, Limits<int64_t>{2, 1 << 24},
            "Tokens of the text to compare at the most (default 2048); takes 4 bytes of disk for each and every id");
  AddNumber(app, "--max-kl", max_kl_, Limits<double>{0, 1e9},
            "With --check: write no file whose mean KL divergence (nats) is larger");
}

void QualityGate::RequireUsage() const {
  if (Asked() || !max_kl_) return;
  throw UsageError({.where = "--max-kl",
                    .what = "is a limit for --check, which was not given",
                    .hint = "--check FILE names the text to compare the models on"});
}

void QualityGate::RunSource(std::shared_ptr<const ModelFolder> source, const std::vector<DType>& types,
                            const std::filesystem::path& folder, const CommonOptions& common, Output& out) {
  const ModelConfig config = source->config();
  const std::string text = RequiredUtf8(ReadFileOrPipe(text_), text_);
  ids_ = source->source().ReadTokenizer({.model_vocab_size = config.vocab_size}).Encode(text);
  if (ids_.size() < 2) {
    throw Error({.where = text_,
                 .what = "too short to compare models on",
                 .found = std::to_string(ids_.size()) + " tokens",
                 .expected = "at least 2, better some thousands"});
  }
  ids_.resize(std::min(ids_.size(), static_cast<size_t>(tokens_)));
  record_ = {.text = text_ == "-" ? "-" : std::filesystem::path(text_).filename().string(),
             .text_sha256 = Sha256Hex(text),
             .window = static_cast<uint64_t>(std::min(kWindow, config.max_positions)),
             .quality = {}};
  const auto length = static_cast<int64_t>(record_.window);
  const std::vector<TextWindow> windows = TextWindows(ids_, length);
  const RunShape run = ShapeOfWindows(length, true, static_cast<size_t>(common.threads));
  // Both runs, before the first one begins.
  RequireFits(PlanMemory(config, PlanWeights(*source, {}), run), AvailableMemory());
  MemoryPlan second = PlanMemory(config, PlanWeights(*source, {.types = types}), run);
  second.parts.push_back({"logits of the source model", ForwardContext::LogitBytes(config, run), false});
  RequireFits(second, AvailableMemory());
  logits_.emplace(folder, PredictedTokens(windows), static_cast<size_t>(config.vocab_size));
  RunModel(std::move(source), run, "Source model", windows, out,
           [&](const Transformer& model, ThreadPool& pool, const WindowsPass& pass) {
             SaveLogits(model, run, pool, windows, pass, *logits_);
           });
}

void QualityGate::RunFile(const std::filesystem::path& file, const CommonOptions& common, Output& out) {
  const auto length = static_cast<int64_t>(record_.window);
  const std::vector<TextWindow> windows = TextWindows(ids_, length);
  const RunShape run = ShapeOfWindows(length, true, static_cast<size_t>(common.threads));
  RunModel(ModelFolder::Open(ModelSource::OpenGguf(file)), run, "Quantized model", windows, out,
           [&](const Transformer& model, ThreadPool& pool, const WindowsPass& pass) {
             record_.quality = SummarizeDivergences(CompareWithSaved(model, run, pool, windows, pass, *logits_));
           });
  logits_.reset();
  if (!max_kl_ || record_.quality.mean_kl <= *max_kl_) return;
  if (out.json()) {
    out.Json({{"check", Json()}, {"passed", false}});
  } else {
    out.Text(Text());
    out.Flush();
  }
  char found[64], allowed[64];
  std::snprintf(found, sizeof found, "%.6g", record_.quality.mean_kl);
  std::snprintf(allowed, sizeof allowed, "%.6g", *max_kl_);
  throw Error({.where = "--max-kl",
               .what = "the quantized model is too far from the source model, and was not written",
               .found = std::string("a mean KL divergence of ") + found,
               .expected = std::string("at most ") + allowed,
               .hint = "a larger --type, a --tensor rule or an --imatrix loses less"});
}

JsonValue QualityGate::Json() const {
  const Quality& q = record_.quality;
  JsonValue object = {{"text", record_.text},
                      {"text_sha256", record_.text_sha256},
                      {"window", record_.window},
                      {"tokens", q.tokens},
                      {"mean_kl", q.mean_kl},
                      {"p99_kl", q.p99_kl},
                      {"largest_kl", q.largest_kl},
                      {"same_first", q.same_first},
                      {"source_perplexity", q.source_perplexity},
                      {"perplexity", q.perplexity},
                      {"perplexity_change", q.PerplexityChange()}};
  if (max_kl_) object["max_kl"] = *max_kl_;
  return object;
}

std::string QualityGate::Text() const {
  const Quality& q = record_.quality;
  char lines[640];
  std::snprintf(lines, sizeof lines,
                "against the source model, %llu tokens in windows of %llu\n"
                "  KL divergence      mean %.6f, 99 %% at most %.6f, largest %.6f nats\n"
                "  same first choice  %.2f %%\n"
                "  perplexity         %.4f, source %.4f (%+.3f %%)\n",
                static_cast<unsigned long long>(q.tokens), static_cast<unsigned long long>(record_.window), q.mean_kl,
                q.p99_kl, q.largest_kl, 100 * q.same_first, q.perplexity, q.source_perplexity,
                100 * q.PerplexityChange());
  return lines;
}

}  // namespace stablelm
