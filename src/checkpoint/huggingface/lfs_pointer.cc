#include "checkpoint/huggingface/lfs_pointer.h"

#include <string>

#include "base/error.h"

namespace stablelm {

void RefuseLfsPointer(const std::filesystem::path& path, std::string_view content) {
  if (content.size() >= 1024 || !content.starts_with("version https://git-lfs")) return;
  std::string size = "the file itself";
  if (const size_t at = content.find("\nsize "); at != std::string_view::npos) {
    const std::string_view digits = content.substr(at + 6, content.find('\n', at + 6) - at - 6);
    if (!digits.empty() && digits.size() < 20 && digits.find_first_not_of("0123456789") == std::string_view::npos) {
      size = std::string(digits) + " bytes of data";
    }
  }
  throw Error({.where = path.string(),
               .what = "this is a Git LFS pointer, not the file",
               .found = std::to_string(content.size()) + " bytes of text",
               .expected = size,
               .hint =
                   "the repository was cloned without LFS: run `git lfs install && git lfs pull` in it, or download "
                   "the file from the hub"});
}

}  // namespace stablelm
