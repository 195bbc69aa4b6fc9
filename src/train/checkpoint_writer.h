// Writes the checkpoints of a run in the background, from the live buffers: the passes of the next step go on
// meanwhile, and only its update waits until the parameters are copied into the files. Flushing, hashing and renaming
// go on beside later steps too.
#pragma once

#include <condition_variable>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "train/checkpoint.h"

namespace stablelm {

class CheckpointWriter {
 public:
  struct Job {
    std::filesystem::path out;
    CheckpointModel model;
    std::function<std::string()> state;                       // called in the background, when all else is written
    std::function<void()> before_commit = {};                 // in the background
    std::function<void(const std::string& hash)> after = {};  // in the background, once the checkpoint is there
  };

  // The parameters outlive it.
  explicit CheckpointWriter(const Parameters& parameters) : parameters_(parameters) {}
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();  // waits until the checkpoint is there

  // The functions below are for one thread. They throw what went wrong in the background, once.

  // Begins a checkpoint, after the one before is there. The parameters must not change until WaitForCopy returns.
  void Start(Job job);
  // Returns the seconds that it waited.
  double WaitForCopy();
  // Until the checkpoint is there.
  void Finish();

 private:
  void Work(const Job& job);
  void Rethrow();

  const Parameters& parameters_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool copied_ = true;  // or failed
  std::exception_ptr failure_;
};

}  // namespace stablelm
