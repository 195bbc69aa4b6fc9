#include "train/run_folder.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/new_folder.h"
#include "base/shell_word.h"
#include "base/temporary_paths.h"
#include "base/write_error.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStepPrefix = "step-";
constexpr const char* kBest = "best";

std::string ResumeHint(const fs::path& path) {
  return "stablelm finetune --resume " + ShellWord(path.string()) + " goes on";
}

FolderLock LockOf(const fs::path& path) {
  std::optional<FolderLock> lock = FolderLock::Take(path);
  if (!lock) {
    throw Error({.where = path.string(),
                 .what = "another process is training in this folder",
                 .hint = "wait until it ends, or stop it (Ctrl-C saves what it has)"});
  }
  return std::move(*lock);
}

// The step of a line of the log; empty when it is not the object of a step.
std::optional<int64_t> StepOfLine(std::string_view line) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("step") || !json.at("step").is_number_integer()) return std::nullopt;
  return json.at("step").get<int64_t>();
}

}  // namespace

std::optional<int64_t> StepOfCheckpoint(const fs::path& folder) {
  const std::string name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  int64_t step = 0;
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  const auto [end, error] = std::from_chars(name.data() + kStepPrefix.size(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() || step < 0) return std::nullopt;
  return step;
}

void RunFolder::RequireNew(const fs::path& path) {
  std::error_code error;
  if (fs::exists(path / "recipe.yaml", error)) {
    LockOf(path);
    throw Error({.where = path.string(), .what = "the folder holds a run already", .hint = ResumeHint(path)});
  }
  if (fs::exists(fs::symlink_status(path, error))) {
    throw Error({.where = path.string(),
                 .what = "there is something of this name already",
                 .hint = "name another folder: -o FOLDER"});
  }
}

RunFolder RunFolder::Create(const fs::path& path, const std::string& recipe_yaml, const JsonValue& start) {
  RequireNew(path);
  MakeParentFolder(path);
  NewFolder folder(path);
  WriteTextFileAtomically(folder.path() / "recipe.yaml", recipe_yaml, path / "recipe.yaml");
  WriteTextFileAtomically(folder.path() / kLogFile, start.Dump() + "\n", path / kLogFile);
  folder.Commit();
  return RunFolder(path, LockOf(path));
}

RunFolder RunFolder::Open(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    throw Error({.where = path.string(),
                 .what = "there is no such folder",
                 .expected = "the folder of a run",
                 .hint = "a run starts with a recipe: stablelm finetune RECIPE -o RUN"});
  }
  if (!fs::is_regular_file(path / "recipe.yaml", error)) {
    throw Error({.where = path.string(),
                 .what = "not the folder of a run",
                 .found = "no recipe.yaml",
                 .hint = "the folder that `finetune -o` made holds recipe.yaml, log.jsonl and checkpoints"});
  }
  RunFolder folder(path, LockOf(path));
  RemoveLeftovers(path);
  RemoveLeftovers(folder.checkpoints());
  return folder;
}

fs::path RunFolder::Checkpoint(int64_t step) const {
  return checkpoints() / (std::string(kStepPrefix) + std::to_string(step));
}

std::vector<int64_t> RunFolder::Steps() const {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(checkpoints(), error)) {
    if (const auto step = StepOfCheckpoint(entry.path()); step && entry.is_directory(error)) steps.push_back(*step);
  }
  std::ranges::sort(steps);
  return steps;
}

void RunFolder::CutLog(std::optional<int64_t> step) const {
  std::error_code error;
  if (!fs::exists(log(), error)) return;
  size_t kept = 0;
  {
    const MappedFile file(log());
    const std::string_view text = file.text();
    for (size_t number = 1, end = 0; (end = text.find('\n', kept)) != std::string_view::npos; ++number) {
      const std::string_view line = text.substr(kept, end - kept);
      const std::optional<int64_t> of_line = StepOfLine(line);
      if (!of_line && end + 1 == text.size()) break;
      if (!of_line) {
        throw Error({.where = log().string() + ", line " + std::to_string(number),
                     .what = "not the object of a step",
                     .found = Quoted(line),
                     .hint = "move the file away to go on with a new log"});
      }
      if (step ? *of_line > *step : number > 1) break;
      kept = end + 1;
    }
    if (kept == text.size()) return;
  }
  if (truncate(log().c_str(), static_cast<off_t>(kept)) != 0) FailToWrite(log(), "cannot cut it off", errno);
}

std::vector<int64_t> RunFolder::SetAsideAfter(int64_t step) const {
  std::vector<int64_t> later = Steps();
  std::erase_if(later, [&](int64_t other) { return other <= step; });
  for (size_t i = later.size(); i-- > 0;) {  // killed on the way, a run resumes after the nearest one
    const fs::path from = Checkpoint(later[i]);
    const std::string name = from.string() + ".aside";
    std::error_code error;
    fs::path to = name;
    for (int number = 2; fs::exists(fs::symlink_status(to, error)); ++number) to = name + "-" + std::to_string(number);
    fs::rename(from, to, error);
    if (error) FailToWrite(from, "cannot rename it to " + to.filename().string(), error.value());
  }
  return later;
}

void RunFolder::SetBest(std::optional<int64_t> step) const {
  std::error_code error;
  const fs::path link = path_ / kBest;
  if (!step || !fs::exists(Checkpoint(*step), error)) {  // it may have been pruned, and the run gone back
    fs::remove(link, error);
    return;
  }
  const fs::path target = fs::path("checkpoints") / Checkpoint(*step).filename();
  if (fs::read_symlink(link, error) == target) return;
  const fs::path made = path_ / (std::string(kBest) + ".stablelm.tmp.000000");
  fs::remove(made, error);
  fs::create_symlink(target, made, error);
  if (!error) fs::rename(made, link, error);
  if (error) FailToWrite(link, "cannot point it to the best checkpoint", error.value());
}

void RunFolder::Prune(int64_t keep_last, int64_t keep_every, std::optional<int64_t> best) const {
  const std::vector<int64_t> steps = Steps();
  for (size_t i = 0; i + static_cast<size_t>(std::max<int64_t>(1, keep_last)) < steps.size(); ++i) {
    const bool kept = steps[i] == best || (keep_every > 0 && steps[i] % keep_every == 0);
    if (!kept) RemoveWholeFolder(Checkpoint(steps[i]));
  }
}

}  // namespace stablelm
