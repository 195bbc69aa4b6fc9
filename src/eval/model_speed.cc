#include "eval/model_speed.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/stopwatch.h"

namespace stablelm {
namespace {

constexpr const char* kOperations[] = {"embedding", "norms", "query, key, value", "attention", "attention out",
                                       "mlp up",    "gelu",  "mlp down",          "residual",  "logits",
                                       "rest"};
constexpr const char* kRest = "rest";

// The operation that a step of the forward pass completes.
const char* OperationOf(std::string_view module) {
  if (module == "embed_in") return "embedding";
  if (module.ends_with("layernorm") || module.ends_with("layer_norm")) return "norms";
  if (module == "attention.query_key_value") return "query, key, value";
  if (module == "attention") return "attention";
  if (module == "attention.dense") return "attention out";
  if (module == "mlp.dense_h_to_4h") return "mlp up";
  if (module == "mlp.act") return "gelu";
  if (module == "mlp.dense_4h_to_h") return "mlp down";
  if (module == "output") return "residual";
  if (module == "embed_out") return "logits";
  return kRest;
}

int64_t Longest(std::span<const SpeedCase> cases) {
  int64_t longest = 1;
  for (const SpeedCase& c : cases) longest = std::max(longest, c.depth + c.tokens);
  return longest;
}

}  // namespace

std::span<const char* const> OperationNames() { return kOperations; }

std::string SpeedCase::Name() const {
  return Prompt() ? "prompt " + std::to_string(tokens) : "decode " + std::to_string(sequences);
}

// Sums the time between the steps of forward passes, by operation.
class ModelSpeed::Watch : public ForwardObserver {
 public:
  void Begin() { last_ = Clock::now(); }
  void OnStep(int64_t, std::string_view module, const float*, int64_t, int64_t) override { Add(OperationOf(module)); }
  void End() { Add(kRest); }
  std::map<std::string, double> Milliseconds(double passes) const {
    std::map<std::string, double> ms = seconds_;
    for (auto& [name, value] : ms) value *= 1e3 / passes;
    return ms;
  }

 private:
  void Add(const char* operation) {
    const auto now = Clock::now();
    seconds_[operation] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }
  Clock::time_point last_;
  std::map<std::string, double> seconds_;
};

RunShape ModelSpeed::ShapeOf(DType kv_type, std::span<const SpeedCase> cases, size_t threads) {
  RunShape run{.context = Longest(cases), .kv_type = kv_type, .threads = threads};
  for (const SpeedCase& c : cases) run.sequences = std::max(run.sequences, c.sequences);
  run.max_logit_rows = run.sequences;
  run.max_rows = std::max(run.max_rows, run.sequences);
  return run;
}

ModelSpeed::ModelSpeed(const Transformer& model, DType kv_type, std::span<const SpeedCase> cases, ThreadPool& pool)
    : session_(model, ShapeOf(kv_type, cases, pool.NumThreads()), pool), ids_(static_cast<size_t>(Longest(cases))) {
  const Philox random(1);
  for (size_t i = 0; i < ids_.size(); ++i) {
    ids_[i] = static_cast<int32_t>(random.Uniform(0, i) * static_cast<double>(model.config().vocab_size));
  }
}

double ModelSpeed::PromptSeconds(const SpeedCase& of, Watch* watch) {
  KvSequence sequence(session_.cache());
  const auto start = Clock::now();
  if (watch) watch->Begin();
  session_.ForwardInChunks(std::span(ids_).first(static_cast<size_t>(of.tokens)), sequence,
                           {.logits_from = of.tokens - 1, .hooks = {.observer = watch}},
                           [](int64_t, int64_t, std::span<const float>) {});
  if (watch) watch->End();
  return SecondsSince(start);
}

// Sequences with `depth` cached tokens each. They share no pages, like unrelated sequences.
std::vector<KvSequence> ModelSpeed::Filled(const SpeedCase& of) {
  std::vector<KvSequence> sequences;
  sequences.reserve(static_cast<size_t>(of.sequences));
  sequences.emplace_back(session_.cache());
  session_.ForwardInChunks(std::span(ids_).first(static_cast<size_t>(of.depth)), sequences[0],
                           {.logits_from = of.depth}, [](int64_t, int64_t, std::span<const float>) {});
  while (static_cast<int64_t>(sequences.size()) < of.sequences) {
    sequences.push_back(sequences[0].Fork());
    sequences.back().OwnPages(0, of.depth);
  }
  return sequences;
}

double ModelSpeed::DecodeSeconds(const SpeedCase& of, std::vector<KvSequence>& sequences, Watch* watch) {
  std::vector<BatchSequence> batch(sequences.size());
  const auto start = Clock::now();
  if (watch) watch->Begin();
  for (int64_t step = 0; step < of.tokens; ++step) {
    for (size_t s = 0; s < batch.size(); ++s) {
      const size_t at = (static_cast<size_t>(step) + s) % ids_.size();
      batch[s] = {.tokens = std::span(ids_).subspan(at, 1), .cache = &sequences[s]};
    }
    session_.Forward(batch, {.observer = watch});
    if (watch) watch->End();
  }
  const double seconds = SecondsSince(start);
  for (KvSequence& sequence : sequences) sequence.Truncate(of.depth);
  return seconds;
}

CaseSpeed ModelSpeed::Measure(const SpeedCase& of, uint64_t samples) {
  std::vector<KvSequence> sequences;
  if (!of.Prompt()) sequences = Filled(of);
  const auto seconds = [&](Watch* watch) {
    return of.Prompt() ? PromptSeconds(of, watch) : DecodeSeconds(of, sequences, watch);
  };
  Watch watch;
  seconds(&watch);  // also warms up
  CaseSpeed speed{.of = of, .ms = watch.Milliseconds(static_cast<double>(of.Steps()))};
  std::vector<double> speeds;
  const double tokens = static_cast<double>(of.tokens * std::max<int64_t>(1, of.sequences));
  for (uint64_t sample = 0; sample < samples; ++sample) speeds.push_back(tokens / seconds(nullptr));
  speed.tokens_per_s = Summarize(speeds);
  speed.gflops = Flops(of) * speed.tokens_per_s.median / tokens * 1e-9;
  speed.gb_per_s = Bytes(of) * speed.tokens_per_s.median / tokens * 1e-9;
  return speed;
}

double ModelSpeed::Flops(const SpeedCase& of) const {
  const ModelConfig& c = session_.config();
  const double width = static_cast<double>(c.hidden_size), mlp = static_cast<double>(c.intermediate_size);
  const double layers = static_cast<double>(c.n_layers), n = static_cast<double>(of.tokens);
  const double of_row = layers * 2 * (4 * width * width + 2 * width * mlp);
  const double of_logits = 2 * width * static_cast<double>(c.vocab_size);
  // Rows depth + 1 to depth + n. Each attends to itself and all tokens before it, once for scores and once for values.
  const double positions = n * static_cast<double>(of.depth) + n * (n + 1) / 2;
  const double of_attention = layers * 4 * width * positions;
  if (of.Prompt()) return n * of_row + of_logits + of_attention;
  return static_cast<double>(of.sequences) * (n * (of_row + of_logits) + of_attention);
}

double ModelSpeed::Bytes(const SpeedCase& of) const {
  double matrices = static_cast<double>(session_.model().weights().AdapterBytes());
  for (const auto& [type, bytes] : session_.model().weights().MatrixBytes()) matrices += static_cast<double>(bytes);
  const double row = static_cast<double>(session_.model().weights().EmbeddingRowBytes());
  const double position = static_cast<double>(session_.cache().n_layers()) *
                          static_cast<double>(session_.cache().layout().PageBytes()) /
                          static_cast<double>(kKvPageTokens);
  const double n = static_cast<double>(of.tokens);
  // Each chunk of a prompt reads the matrices once.
  if (of.Prompt()) {
    return std::ceil(n / static_cast<double>(session_.context().max_rows)) * matrices + n * (row + position);
  }
  const double positions = n * static_cast<double>(of.depth) + n * (n + 1) / 2;
  return n * matrices + static_cast<double>(of.sequences) * (n * row + positions * position);
}

}  // namespace stablelm
