// The folder of a training run.
//
//   recipe.yaml         the settings, with absolute paths: what `finetune --resume` reads
//   run.json            program, machine, start and end of every session
//   log.jsonl           an object on each line (train/run_log.h)
//   checkpoints/step-N  model folders with the state of the run (train/checkpoint.h)
//   best                link to the checkpoint with the lowest validation loss, if there is one
//
// One process at a time holds a folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/folder_lock.h"
#include "train/run_log.h"

namespace stablelm {

class RunFolder {
 public:
  // Throws Error when the folder is there already: with the command that resumes, if it is a run.
  static void RequireNew(const std::filesystem::path& path);
  // Makes the folder with recipe.yaml and the first line of the log; its parent must be there. Throws Error, also as
  // RequireNew does.
  static RunFolder Create(const std::filesystem::path& path, const std::string& recipe_yaml, const JsonValue& start);
  // Opens one to resume and removes what a killed process left unfinished. Throws Error: no such folder, no
  // recipe.yaml, another process holds it.
  static RunFolder Open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path recipe() const { return path_ / "recipe.yaml"; }
  std::filesystem::path log() const { return path_ / kLogFile; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path Checkpoint(int64_t step) const;
  std::vector<int64_t> Steps() const;  // of the checkpoints, ascending

  // Cuts log.jsonl off behind the last line of a step up to `step` (empty: behind the first line, which Create wrote),
  // a line without its end too. Throws Error for a line, not the last, that is not the object of a step.
  void CutLog(std::optional<int64_t> step) const;
  // Renames the checkpoints after `step` to step-N.aside (step-N.aside-2, ...), the last one first: they no longer
  // count as checkpoints, and nothing is lost. Returns their steps, ascending.
  std::vector<int64_t> SetAsideAfter(int64_t step) const;
  // Points `best` to the checkpoint; removes it when there is none.
  void SetBest(std::optional<int64_t> step) const;
  // Removes checkpoints but the last `keep_last`, the best, and those of the multiples of `keep_every` (0: none).
  void Prune(int64_t keep_last, int64_t keep_every, std::optional<int64_t> best) const;

 private:
  RunFolder(std::filesystem::path path, FolderLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::filesystem::path path_;
  FolderLock lock_;
};

// "step-120": 120; empty when it is not the name of a checkpoint.
std::optional<int64_t> StepOfCheckpoint(const std::filesystem::path& folder);

}  // namespace stablelm
