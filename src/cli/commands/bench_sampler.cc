// stablelm bench sampler: the time to choose a token from one row of logits, for common settings.
#include <cmath>
#include <cstdio>
#include <numbers>

#include "base/error.h"
#include "base/json_value.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/repeated_timing.h"
#include "base/system.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/commands/bench_text.h"
#include "generate/sampling/sampler.h"
#include "generate/settings/settings.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

constexpr size_t kRows = 16;  // exceeds an L2 cache, so rows are cold as after a forward pass

// Logits that look like a language model's: a normal bulk and a few outliers.
std::vector<std::vector<float>> Rows(size_t vocab) {
  const Philox random(1);
  std::vector<std::vector<float>> rows;
  for (uint64_t r = 0; r < kRows; ++r) {
    std::vector<float> row(vocab);
    for (uint64_t i = 0; i < vocab; ++i) {
      const double u = 1 - random.Uniform(2 * r, i), v = random.Uniform(2 * r + 1, i);
      row[i] = static_cast<float>(2.5 * std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v));
    }
    for (uint64_t i = 0; i < 40; ++i) {
      row[(997 * i + r) % vocab] += static_cast<float>(14 - 0.3 * static_cast<double>(i));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

struct Chain {
  const char* name;
  SettingValues settings;  // settings that differ from greedy
  Samples fast_us = {}, plain_us = {};
};

std::vector<Chain> Chains() {
  return {
      {"greedy", {}},
      {"card", ValuesOf(Preset::kCard)},
      {"top-k, top-p, min-p", {{"temperature", 0.8}, {"top_k", 1000}, {"top_p", 0.95}, {"min_p", 0.05}}},
      {"top-p", {{"temperature", 0.7}, {"top_p", 0.9}}},
      {"flat top-p", {{"temperature", 5}, {"top_p", 0.95}}},
      {"flat top-k", {{"temperature", 5}, {"top_k", 20000}}},
      {"penalties",
       {{"temperature", 0.8},
        {"top_k", 40},
        {"top_p", 0.95},
        {"min_p", 0.05},
        {"repetition_penalty", 1.1},
        {"presence_penalty", 0.1},
        {"frequency_penalty", 0.1}}},
      {"mirostat 2", {{"temperature", 0.8}, {"mirostat", 2}}},
      {"typical", {{"temperature", 0.8}, {"typical_p", 0.9}}},
      {"DRY, n-grams", {{"temperature", 0.8}, {"top_k", 40}, {"dry_multiplier", 0.8}, {"no_repeat_ngram_size", 4}}},
  };
}

class BenchSampler : public Command {
 public:
  std::string Name() const override { return "bench sampler"; }
  std::string Summary() const override { return "Time to choose a token, for the usual settings"; }
  std::string Examples() const override {
    return "  stablelm bench sampler\n"
           "  stablelm bench sampler --plain --json\n"
           "\n"
           "Processor time of one thread. Logits are random with 40 tokens that stand out, and differ from token to\n"
           "token. The time is that of all of it: penalties, filters, draw, and the token's log-probability.";
  }
  unsigned Takes() const override { return 0; }
  void AddOptions(CLI::App& app) override {
    AddNumber(app, "--vocab", vocab_, Limits<int64_t>{2, int64_t{1} << 20}, "Tokens to choose from (default: 50688)");
    AddNumber(app, "--context", context_, Limits<int64_t>{0, int64_t{1} << 20},
              "Tokens before, which penalties look at (default: 2048)");
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 100000},
              "Samples of 16 tokens each, after one that warms up; the median counts (default: 25)");
    AddFlag(app, "--plain", plain_, "Time the plain filters beside, which define what is drawn");
  }

  int Run(Output& out) override {
    const InterruptGuard guard;
    const std::vector<std::vector<float>> rows = Rows(static_cast<size_t>(vocab_));
    std::vector<Chain> chains = Chains();
    Progress progress("choosing", chains.size() * (plain_ ? 2 : 1), Progress::Unit::kItems, out.show_progress());
    for (Chain& chain : chains) {
      chain.fast_us = Measure(chain, rows, false);
      progress.Add(1);
      if (!plain_) continue;
      chain.plain_us = Measure(chain, rows, true);
      progress.Add(1);
    }
    progress.Finish();
    out.json() ? PrintJson(chains, out) : Print(chains, out);
    return kExitOk;
  }

 private:
  Samples Measure(const Chain& chain, const std::vector<std::vector<float>>& rows, bool plain) {
    SettingOptions options;
    options.values = chain.settings;
    SamplerSetup setup = {.options = ResolveSettings(options, {}).sampling, .seed = 1, .plain = plain};
    Sampler sampler(std::move(setup), vocab_);
    SamplerWorkspace workspace(vocab_);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < context_; ++i) ids.push_back(static_cast<int32_t>((i * i * 7919) % 3001 % vocab_));
    int64_t generated = 0;
    std::vector<double> microseconds;
    for (uint64_t sample = 0; sample <= samples_; ++sample) {
      ThrowIfInterrupted();
      const double start = ProcessorSeconds();
      for (const std::vector<float>& row : rows) sampler.Choose(row, ids, generated++, workspace);
      if (sample > 0) microseconds.push_back((ProcessorSeconds() - start) * 1e6 / static_cast<double>(rows.size()));
    }
    return Summarize(std::move(microseconds));
  }

  static std::string Shown(const SettingValues& settings) {
    std::vector<std::string> words;
    for (const SettingSpec& spec : kSettings) {
      const auto found = settings.find(spec.name);
      if (found != settings.end() && spec.name != "do_sample") {
        words.push_back(std::string(spec.name) + " " + ShownValue(spec, found->second));
      }
    }
    return Joined(words);
  }

  void PrintJson(const std::vector<Chain>& chains, Output& out) const {
    JsonValue results = JsonValue::Array();
    for (const Chain& chain : chains) {
      JsonValue settings = JsonValue::Object();
      for (const auto& [name, value] : chain.settings) {
        settings[name] = SettingJson(*FindSetting(name), value);
      }
      results.push_back({{"chain", chain.name},
                         {"settings", settings},
                         {"us", chain.fast_us.median},
                         {"min", chain.fast_us.min},
                         {"max", chain.fast_us.max}});
      if (plain_) results.back()["plain_us"] = chain.plain_us.median;
    }
    out.Json({{"bench", "sampler"},
              {"cpu", CpuModelName()},
              {"simd", SimdTargetInUse()},
              {"vocab", vocab_},
              {"context", context_},
              {"samples", samples_},
              {"results", results}});
  }

  void Print(const std::vector<Chain>& chains, Output& out) const {
    char line[400];
    std::snprintf(line, sizeof line, "%s, %s, 1 thread, %lld tokens to choose from, %lld before, %llu samples\n",
                  CpuModelName().c_str(), SimdTargetInUse().c_str(), static_cast<long long>(vocab_),
                  static_cast<long long>(context_), static_cast<unsigned long long>(samples_));
    out.Text(line);
    out.Text(std::string("chain                us/token  (lowest to highest)") + (plain_ ? "     plain" : "") +
             "  settings\n");
    for (const Chain& chain : chains) {
      std::snprintf(line, sizeof line, "%-19s  %8.1f  %-19s", chain.name, chain.fast_us.median,
                    Range(chain.fast_us).c_str());
      out.Text(line);
      if (plain_) {
        std::snprintf(line, sizeof line, "  %8.1f", chain.plain_us.median);
        out.Text(line);
      }
      out.Text("  " + Shown(chain.settings) + "\n");
    }
  }

  int64_t vocab_ = 50688, context_ = 2048;
  uint64_t samples_ = 25;
  bool plain_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeBenchSampler() { return std::make_unique<BenchSampler>(); }

}  // namespace stablelm
