#include "cli/commands/quality_options.h"

#include <cstdio>

#include "base/error.h"
#include "base/json_value.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "model/pass_hooks.h"

namespace stablelm {

void QualityOptions::AddOptions(CLI::App& app) {
  AddText(app, "--check", "FILE", text_,
          "Compare the file with the source model on this text, before it appears: KL divergence, first choices, "
          "perplexity");
  AddNumber(app, "--check-tokens", tokens_, Limits<int64_t>{2, 1 << 24},
            "Compare at most N tokens of the text (default 2048); takes 4 bytes of disk for each token and id of the "
            "vocabulary");
  AddNumber(app, "--max-kl", max_kl_, Limits<double>{0, 1e9},
            "With --check: write no file whose mean KL divergence (nats) is larger");
}

void QualityOptions::RequireUsage() const {
  if (Asked() || !max_kl_) return;
  throw UsageError({.where = "--max-kl",
                    .what = "is a limit for --check, which was not given",
                    .hint = "--check FILE names the text to compare the models on"});
}

void QualityOptions::RunSource(std::shared_ptr<const ModelFolder> source, const std::vector<DType>& types,
                               const std::filesystem::path& folder, const CommonOptions& common, Output& out) {
  gate_.emplace(QualityRun{.threads = static_cast<size_t>(common.threads),
                           .show_progress = out.show_progress(),
                           .cancel = &InterruptFlag()});
  const QualityText text = {.name = text_, .utf8 = RequiredUtf8(ReadFileOrPipe(text_), text_), .most_tokens = tokens_};
  try {
    gate_->RunSource(std::move(source), types, folder, text);
  } catch (const Cancelled&) {
    throw InterruptedExit();
  }
}

void QualityOptions::RunFile(const std::filesystem::path& file, Output& out) {
  try {
    gate_->RunFile(file);
  } catch (const Cancelled&) {
    throw InterruptedExit();
  }
  if (!max_kl_) return;
  try {
    RequireQuality(gate_->record().quality, *max_kl_);
  } catch (const Error&) {
    if (out.json()) {
      out.Json({{"check", Json()}, {"passed", false}});
    } else {
      out.Text(Text());
      out.Flush();
    }
    throw;
  }
}

JsonValue QualityOptions::Json() const {
  const QualityRecord& record = gate_->record();
  const Quality& q = record.quality;
  JsonValue object = {{"text", record.text},
                      {"text_sha256", record.text_sha256},
                      {"window", record.window},
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

std::string QualityOptions::Text() const {
  const QualityRecord& record = gate_->record();
  const Quality& q = record.quality;
  char lines[640];
  std::snprintf(lines, sizeof lines,
                "against the source model, %llu tokens in windows of %llu\n"
                "  KL divergence      mean %.6f, 99 %% at most %.6f, largest %.6f nats\n"
                "  same first choice  %.2f %%\n"
                "  perplexity         %.4f, source %.4f (%+.3f %%)\n",
                static_cast<unsigned long long>(q.tokens), static_cast<unsigned long long>(record.window), q.mean_kl,
                q.p99_kl, q.largest_kl, 100 * q.same_first, q.perplexity, q.source_perplexity,
                100 * q.PerplexityChange());
  return lines;
}

}  // namespace stablelm
