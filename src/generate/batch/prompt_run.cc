#include "generate/batch/prompt_run.h"

#include <deque>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace stablelm {
namespace {

// A prompt in progress.
struct Slot {
  PromptTask task;
  std::vector<RequestId> requests;    // of the submitted samples
  std::vector<EngineResult> results;  // [samples]
  int64_t ended = 0;
  std::optional<std::string> line;  // once it is finished
};

class Run {
 public:
  Run(Engine& engine, const PromptRunOptions& settings, const PromptRunHooks& hooks)
      : engine_(engine), settings_(settings), hooks_(hooks) {}
  // Cancels everything, so that the engine does not call back into destroyed slots.
  ~Run() {
    for (const auto& slot : slots_) {
      for (const RequestId id : slot->requests) engine_.Cancel(id);
    }
    engine_.Step();
  }

  bool Go() {
    while (true) {
      Fill();
      Write();
      if (slots_.empty() && read_all_) return true;
      if (Cancelled()) return false;
      if (with_engine_ > 0) engine_.Step(hooks_.cancel);
    }
  }

 private:
  bool Cancelled() const { return hooks_.cancel && hooks_.cancel->load(std::memory_order_relaxed); }

  // Submits samples until settings_.parallel are with the engine.
  void Fill() {
    while (with_engine_ < settings_.parallel) {
      if (!slots_.empty() && Submit(*slots_.back())) continue;
      const bool far_ahead = static_cast<int64_t>(slots_.size()) >= settings_.most_ahead;
      // A prompt may always start when no other is in progress, so the bounds cannot block the run.
      if (read_all_ || (!slots_.empty() && (far_ahead || waiting_bytes_ > settings_.most_waiting_bytes))) return;
      auto next = hooks_.next();
      if (!next) {
        read_all_ = true;
        return;
      }
      auto slot = std::make_unique<Slot>();
      if (auto* line = std::get_if<std::string>(&*next)) {
        Finish(*slot, std::move(*line));
      } else {
        slot->task = std::get<PromptTask>(std::move(*next));
        STABLELM_CHECK(slot->task.samples >= 1);
        slot->results.resize(static_cast<size_t>(slot->task.samples));
      }
      slots_.push_back(std::move(slot));
    }
  }

  // Submits the next sample of a prompt; false when all are submitted.
  bool Submit(Slot& slot) {
    const size_t sample = slot.requests.size();
    if (sample >= slot.results.size()) return false;
    const bool last = sample + 1 == slot.results.size();
    EngineRequest request = last ? std::move(slot.task.request) : slot.task.request;
    request.generate.sample = sample;
    // One sample is enough for the log-probabilities of the prompt.
    if (sample > 0) request.prompt_logprobs = false;
    EngineCallbacks callbacks;
    if (hooks_.on_token) callbacks.reply.on_token = [this](const ChosenToken&) { hooks_.on_token(); };
    callbacks.on_end = [this, &slot, sample](const EngineResult& result) {
      slot.results[sample] = result;
      --with_engine_;
      ++slot.ended;
    };
    slot.requests.push_back(engine_.Submit(std::move(request), std::move(callbacks)));
    ++with_engine_;
    return true;
  }

  void Finish(Slot& slot, std::string line) {
    waiting_bytes_ += line.size();
    slot.line = std::move(line);
    slot.task = {};
    slot.results.clear();
  }

  void Write() {
    for (const auto& slot : slots_) {
      if (slot->line || slot->ended < slot->task.samples) continue;
      Finish(*slot, slot->task.line(slot->results));
    }
    while (!slots_.empty() && slots_.front()->line) {
      hooks_.write(*slots_.front()->line);
      waiting_bytes_ -= slots_.front()->line->size();
      slots_.pop_front();
    }
  }

  Engine& engine_;
  const PromptRunOptions& settings_;
  const PromptRunHooks& hooks_;
  std::deque<std::unique_ptr<Slot>> slots_;  // in the order of the prompts
  int64_t with_engine_ = 0;                  // samples
  size_t waiting_bytes_ = 0;                 // of finished lines
  bool read_all_ = false;
};

}  // namespace

uint64_t SeedOfPrompt(uint64_t run_seed, uint64_t index) {
  const auto words = Philox(run_seed).Block(~uint64_t{0}, index);
  return uint64_t{words[1]} << 32 | words[0];
}

bool RunPrompts(Engine& engine, const PromptRunOptions& settings, const PromptRunHooks& hooks) {
  STABLELM_CHECK(settings.parallel >= 1 && settings.most_ahead >= 1);
  return Run(engine, settings, hooks).Go();
}

}  // namespace stablelm
