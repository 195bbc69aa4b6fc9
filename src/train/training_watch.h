// What watches a training run and may change its course: validation, sample answers, the guard against divergence.
//
// A run calls its watches in their order, on its own thread. They never see a half-made update. What a watch remembers
// goes into every checkpoint (State) and comes back when the run is resumed (Restore), so that a resumed run takes the
// same decisions as an uninterrupted one: State must depend on the steps alone, not on time, machine or threads.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/json_value.h"
#include "base/thread_pool.h"
#include "train/gradient_pass.h"
#include "train/parameters.h"
#include "train/run_log.h"

namespace stablelm {

class TrainingWatch {
 public:
  struct Moment {
    const StepLog& step;           // just made and logged
    const Parameters& parameters;  // as the step left them; nobody changes them during the call
    GradientPass& pass;            // its buffers may be used; the gradients are not needed any more
    ThreadPool& pool;              // idle during the call
    bool checkpoint = false;       // a checkpoint of this step follows
    bool last = false;             // the run ends with this step
    // Appends a line to log.jsonl: the members of `object`, which has "event" (train/run_log.h), and "step". No line
    // may be written at another time: a resumed run drops the lines of the steps after its checkpoint.
    const std::function<void(const JsonValue& object)>& log;
  };

  virtual ~TrainingWatch() = default;
  virtual std::string Name() const = 0;  // its member of state.json, unique in the run

  // Before the first step of a new run: `moment.step` is step 0, which was not made. Not called when a run is resumed.
  virtual void AtStart(const Moment& /*moment*/) {}
  // After every step, before its checkpoint. An exception ends the run.
  virtual void AfterStep(const Moment& /*moment*/) {}
  // When the gradient of a step is there and finite, before the update: `step` has loss, gradient norm and rate. False:
  // no update is made, the step counts as skipped. Throws Error to end the run.
  virtual bool AllowsUpdate(const StepLog& /*step*/) { return true; }
  // A value of the step is not finite, which the error tells; no update was made. True: the run goes on with the next
  // step; else the error ends it.
  virtual bool Forgives(const StepLog& /*step*/, const Error& /*error*/) { return false; }
  // Multiplies the rate of the schedule. Asked before the step, and again after AllowsUpdate, which may change it for
  // the update at hand.
  virtual double RateFactor() const { return 1; }
  // How good the parameters are that the last AfterStep saw, lower is better; empty: not measured at that step. The
  // run keeps the checkpoint with the lowest value.
  virtual std::optional<double> Value() const { return std::nullopt; }

  virtual JsonValue State() const { return nullptr; }
  // `state`: what State returned at the checkpoint that the run continues from; null when this watch had none. Called
  // once before the first step, and not at all in a new run. `step`: the last step that was made. What files of its
  // own say of later steps must not count any more. Throws Error for a malformed state.
  virtual void Restore(const nlohmann::json& /*state*/, int64_t /*step*/) {}
};

}  // namespace stablelm
