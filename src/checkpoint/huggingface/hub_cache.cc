#include "checkpoint/huggingface/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

bool IsName(std::string_view text) {
  if (text.empty() || text.size() > 96 || text.front() == '.' || text.front() == '-') return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

fs::path Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> FoldersIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    std::error_code ignored;
    if (entry.is_directory(ignored)) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::optional<fs::path> FindRepository(const fs::path& cache, const HubId& id) {
  const std::string wanted = "models--" + id.org + "--" + id.name;
  std::error_code ignored;
  if (fs::is_directory(cache / wanted, ignored)) return cache / wanted;
  for (const std::string& name : FoldersIn(cache)) {
    if (Lower(name) == Lower(wanted)) return cache / name;
  }
  return std::nullopt;
}

}  // namespace

std::optional<HubId> ParseHubId(std::string_view text) {
  HubId id;
  id.revision = "main";
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    id.revision = text.substr(at + 1);
    text = text.substr(0, at);
    const std::string_view revision = id.revision;  // a branch name may contain slashes: check each part
    for (size_t begin = 0; begin <= revision.size();) {
      const size_t slash = std::min(revision.find('/', begin), revision.size());
      if (!IsName(revision.substr(begin, slash - begin))) return std::nullopt;
      begin = slash + 1;
    }
  }
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  id.org = text.substr(0, slash);
  id.name = text.substr(slash + 1);
  if (!IsName(id.org) || !IsName(id.name)) return std::nullopt;
  return id;
}

fs::path HubCacheFolder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const fs::path cache = Environment(name); !cache.empty()) return cache;
  }
  if (const fs::path home = Environment("HF_HOME"); !home.empty()) return home / "hub";
  if (const fs::path xdg = Environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg / "huggingface" / "hub";
  if (const fs::path home = Environment("HOME"); !home.empty()) return home / ".cache" / "huggingface" / "hub";
  return {};
}

fs::path FindInHubCache(const fs::path& cache, const HubId& id) {
  const std::string shown = id.org + "/" + id.name;
  const auto fail = [&](const std::string& what, const std::string& found, const std::string& hint) {
    throw Error({.where = shown, .what = what, .found = found, .hint = hint});
  };
  const std::optional<fs::path> repository = FindRepository(cache, id);
  if (!repository) {
    fail("no such folder, and not in the Hugging Face cache " + Quoted(cache.string()), {},
         "give the folder of a downloaded model, or download it first (for example with `huggingface-cli download " +
             shown + "`); HF_HOME and HF_HUB_CACHE tell where the cache is");
  }
  const fs::path snapshots = *repository / "snapshots";
  std::error_code ignored;
  const fs::path ref = *repository / "refs" / id.revision;
  if (fs::is_regular_file(ref, ignored)) {
    std::string commit = ReadTextFile(ref, 4096);
    while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r' || commit.back() == ' ')) {
      commit.pop_back();
    }
    if (!IsName(commit)) {
      fail("damaged reference in the cache: " + ref.string(), Quoted(commit), "download the model again");
    }
    if (!fs::is_directory(snapshots / commit, ignored)) {
      fail("the cache knows the revision but has no files of it: " + (snapshots / commit).string(), {},
           "download the model again");
    }
    return snapshots / commit;
  }
  const std::vector<std::string> commits = FoldersIn(snapshots);
  // A commit may be given in full or by a unique prefix.
  std::vector<std::string> matches;
  for (const std::string& commit : commits) {
    if (commit.starts_with(id.revision) && (commit == id.revision || id.revision.size() >= 7)) {
      matches.push_back(commit);
    }
  }
  if (matches.size() == 1) return snapshots / matches[0];
  if (id.revision == "main" && commits.size() == 1) return snapshots / commits[0];
  std::string have;
  for (const std::string& commit : commits) have += (have.empty() ? "" : ", ") + commit;
  fail("the revision " + Quoted(id.revision) + " is not in the cache", have.empty() ? "no snapshot" : have,
       "name one with " + shown + "@REVISION, or download the model again");
  return {};
}

}  // namespace stablelm
