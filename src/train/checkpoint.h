// A checkpoint of a training run: a model folder (train/save_parameters.h), or PEFT's folder of the adapters
// (train/save_adapter.h), and beside the weights optimizer.safetensors
// (train/optimizer_file.h), state.json (train/run_state.h) and SHA256SUMS over all files.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/dtype.h"
#include "base/thread_pool.h"
#include "checkpoint/huggingface/writer.h"
#include "train/finetune.h"
#include "train/optimizer_file.h"
#include "train/parameters.h"

namespace stablelm {

struct CheckpointModel {
  DType dtype = DType::kF16;                 // of the weights
  std::filesystem::path tokenizer;           // model folder whose tokenizer files are copied
  std::string base = {};                     // of adapters: the path of the model below them
  std::map<std::string, std::string> texts;  // small files, by name
};

// A checkpoint that is being written. It appears with Commit, whole or not at all.
class NewCheckpoint {
 public:
  // Reserves the disk space. The parameters outlive it. A checkpoint of this name is replaced. Throws Error.
  NewCheckpoint(const std::filesystem::path& out, const Parameters& parameters, const CheckpointModel& model);

  // Copies weights, masters and moments into the files. Nothing may change the parameters until it returns. Throws
  // Error, also for a weight that is not finite in the type of the file.
  void Copy(ThreadPool& pool, const std::function<void()>& on_piece = {});
  // Writes state.json, flushes and hashes all files, and renames. `before` is called last before the renaming. Returns
  // the checkpoint's hash: SHA-256 of SHA256SUMS.
  std::string Commit(const std::string& state, const std::function<void()>& before = {});

 private:
  const std::filesystem::path out_;
  const Parameters& parameters_;
  const DType dtype_;
  const OptimizerFile optimizer_;
  const std::unique_ptr<FolderWriter> writer_;
  SafetensorsWriter& tensors_;
  SafetensorsWriter* adapters_ = nullptr;  // of LoRA, in place of the model's weights
};

// Sets weights, masters and moments. Parameters that are not trained come from the model that the run began with.
// Throws Error for a checkpoint of another model, or of other trained parameters.
void LoadCheckpoint(const std::filesystem::path& checkpoint, const FineTune& tune, Parameters& parameters,
                    ThreadPool& pool, bool show_progress);

}  // namespace stablelm
