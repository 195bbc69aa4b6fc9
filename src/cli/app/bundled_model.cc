#include "cli/app/bundled_model.h"

#include <sys/auxv.h>

#include "base/error.h"
#include "base/sha256.h"
#include "base/shell_word.h"

namespace stablelm {
namespace {

std::filesystem::path FolderOfProgram() {
  std::error_code failed;
  std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) {  // no /proc: a bare chroot
    const auto* started = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
    program = std::filesystem::weakly_canonical(started ? started : "", failed);
  }
  return program.parent_path();
}

// The place that a build folder's link names, also when nothing is there.
std::filesystem::path LinkedPlace(const std::filesystem::path& place) {
  std::error_code no_link;
  const std::filesystem::path target = std::filesystem::read_symlink(place, no_link);
  return no_link ? place : (place.parent_path() / target).lexically_normal();
}

// The first place where something is; empty when there is none.
std::filesystem::path FilePresent() {
  for (const std::filesystem::path& place : BundledModelPlaces()) {
    std::error_code failed;
    const std::filesystem::path file = LinkedPlace(place);
    if (std::filesystem::exists(file, failed)) return file;
  }
  return {};
}

void RequireTheBuildsOwn(const std::filesystem::path& file) {
  const std::string expected = STABLELM_BUNDLED_MODEL_SHA256;
  const std::string found = Sha256HexOfFile(file);
  if (found == expected) return;
  throw Error({.where = file.string(),
               .what = "damaged, or not the model that this program was built with",
               .found = "SHA-256 " + found,
               .expected = expected,
               .hint = "install stablelm again, or in its source tree: git checkout demo/" +
                       std::string(kBundledModel) + ". To take the file as it is, name it: -m " +
                       ShellWord(file.string())});
}

}  // namespace

std::vector<std::filesystem::path> BundledModelPlaces() {
  const std::filesystem::path folder = FolderOfProgram();
  return {folder / kBundledModel,
          (folder / STABLELM_SHARE_FROM_PROGRAM / "stablelm" / kBundledModel).lexically_normal()};
}

std::string FindBundledModel() {
  if (const std::filesystem::path file = FilePresent(); !file.empty()) {
    RequireTheBuildsOwn(file);
    return file.string();
  }
  std::vector<std::string> searched;
  for (const std::filesystem::path& place : BundledModelPlaces()) searched.push_back(LinkedPlace(place).string());
  throw UsageError(
      {.where = "--model",
       .what = "no model was named, and the one that comes with stablelm is missing",
       .expected = Joined(searched, " or "),
       .hint = "-m MODEL or the environment variable STABLELM_MODEL names one; to get the missing one back, install "
               "stablelm again, or in its source tree: git checkout demo/" +
               std::string(kBundledModel)});
}

std::string WhereBundledModelIs() {
  const std::filesystem::path file = FilePresent();
  return file.empty() ? "" : "; the small demonstration model is " + file.string();
}

void TakeBundledModel(CommonOptions& common) {
  if (!common.model.empty()) return;
  common.model = FindBundledModel();
  common.bundled = true;
}

}  // namespace stablelm
