#include "train/checkpoint_writer.h"

#include <chrono>
#include <utility>

namespace stablelm {

CheckpointWriter::~CheckpointWriter() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::Start(Job job) {
  Finish();
  copied_ = false;
  thread_ = std::thread([this, job = std::move(job)] {
    std::exception_ptr failure;
    try {
      Work(job);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    copied_ = true;
    changed_.notify_all();
  });
}

void CheckpointWriter::Work(const Job& job) {
  ThreadPool pool(1);  // the others compute
  NewCheckpoint checkpoint(job.out, parameters_, job.model);
  checkpoint.Copy(pool);
  {
    const std::lock_guard lock(mutex_);
    copied_ = true;
    changed_.notify_all();
  }
  const std::string hash = checkpoint.Commit(job.state(), job.before_commit);
  if (job.after) job.after(hash);
}

double CheckpointWriter::WaitForCopy() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  if (copied_ && !failure_) return 0;
  changed_.wait(lock, [&] { return copied_; });
  lock.unlock();
  Rethrow();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void CheckpointWriter::Finish() {
  if (thread_.joinable()) thread_.join();
  Rethrow();
}

void CheckpointWriter::Rethrow() {
  std::exception_ptr failure;
  {
    const std::lock_guard lock(mutex_);
    failure = std::exchange(failure_, nullptr);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace stablelm
