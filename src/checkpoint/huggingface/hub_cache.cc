#include "checkpoint/huggingface/hub_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

#include "base/ascii.h"
#include "base/error.h"
#include "base/home_folder.h"
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

std::string Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? value : "";
}

// "~" or "~/..." with the home folder, then $NAME and ${NAME} with their values: what huggingface_hub does with the
// values of its variables (os.path.expanduser, os.path.expandvars). Names that are not set stay as they are.
std::string Expanded(std::string text) {
  text = ExpandHome(text);
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    std::string name;
    if (text[i] == '$' && end < text.size() && text[end] == '{') {
      const size_t close = text.find('}', end);
      if (close != std::string::npos) {
        name = text.substr(end + 1, close - end - 1);
        end = close + 1;
      }
    } else if (text[i] == '$') {
      while (end < text.size() && is_name(text[end])) ++end;
      name = text.substr(i + 1, end - i - 1);
    }
    const bool known = !name.empty() && std::getenv(name.c_str());
    out += known ? Environment(name) : text.substr(i, end - i);
    i = end;
  }
  return out;
}

// The path below huggingface.co of a page's address, which is the id and what is shown of it; nullopt for anything
// else.
std::optional<std::string_view> PathOfHubUrl(std::string_view text) {
  const auto take = [&](std::string_view begin) {  // schemes and hosts are the same in any case
    if (text.size() < begin.size() || LowerAscii(std::string(text.substr(0, begin.size()))) != begin) return false;
    text.remove_prefix(begin.size());
    return true;
  };
  take("https://") || take("http://");
  if (!take("huggingface.co/") && !take("www.huggingface.co/") && !take("hf.co/")) return std::nullopt;
  text = text.substr(0, text.find_first_of("?#"));
  while (text.ends_with('/')) text.remove_suffix(1);
  while (text.starts_with('/')) text.remove_prefix(1);
  if (constexpr std::string_view kClone = ".git"; text.ends_with(kClone)) text.remove_suffix(kClone.size());
  return text;
}

// What follows "hf://" or "hf://models/", as huggingface_hub writes places of files; nullopt for anything else.
std::optional<std::string_view> PathOfHfScheme(std::string_view text) {
  if (text.size() < 5 || LowerAscii(std::string(text.substr(0, 5))) != "hf://") return std::nullopt;
  text.remove_prefix(5);
  if (text.starts_with("models/")) text.remove_prefix(7);
  return text;
}

// What the hub shows below these paths instead of a model.
constexpr struct {
  std::string_view begin, what;
} kOtherPages[] = {{"datasets/", "a data set"},
                   {"spaces/", "a Space"},
                   {"collections/", "a collection"},
                   {"papers/", "a paper"},
                   {"docs/", "a page of the documentation"}};

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

const char* FolderPrefix(HubKind kind) { return kind == HubKind::kModel ? "models--" : "datasets--"; }

// A folder that is there but cannot be looked into is no reason to download the model again.
void RefuseUnreadable(const fs::path& folder) {
  std::error_code error;
  if (!folder.empty()) fs::directory_iterator(folder, error);
  if (!error || error == std::errc::no_such_file_or_directory) return;
  throw Error({.where = folder.string(),
               .what = "cannot look into this folder of the Hugging Face cache: " + error.message(),
               .expected = "a folder that you may read",
               .hint = "check its permissions (ls -ld), or name another cache: HF_HUB_CACHE, HF_HOME"});
}

std::optional<fs::path> FindRepository(const fs::path& cache, const HubId& id, HubKind kind) {
  if (cache.empty()) return std::nullopt;
  const std::string wanted = FolderPrefix(kind) + id.org + "--" + id.name;
  std::error_code ignored;
  if (fs::is_directory(cache / wanted, ignored)) return cache / wanted;
  for (const std::string& name : FoldersIn(cache)) {
    if (LowerAscii(name) == LowerAscii(wanted)) return cache / name;
  }
  return std::nullopt;
}

}  // namespace

std::string_view OtherHubPage(std::string_view text) {
  std::optional<std::string_view> path = PathOfHubUrl(text);
  if (!path) path = PathOfHfScheme(text);
  for (const auto& page : kOtherPages) {
    if (path && path->starts_with(page.begin)) return page.what;
  }
  return {};
}

std::optional<HubId> ParseHubId(std::string_view text) {
  if (const std::optional<std::string_view> path = PathOfHfScheme(text)) {
    if (!OtherHubPage(text).empty()) return std::nullopt;
    // ORG/NAME[@REVISION][/FILE]
    const size_t name = path->find('/');
    const size_t end = name == std::string_view::npos ? name : path->find('/', name + 1);
    std::optional<HubId> found =
        path->find("://") == std::string_view::npos ? ParseHubId(path->substr(0, end)) : std::nullopt;
    if (found && end != std::string_view::npos && path->ends_with(".gguf") &&
        path->find("..") == std::string_view::npos) {
      found->file = path->substr(end + 1);
    }
    return found;
  }
  if (const std::optional<std::string_view> path = PathOfHubUrl(text)) {
    if (!OtherHubPage(text).empty()) return std::nullopt;
    // ORG/NAME, ORG/NAME/tree/REVISION or ORG/NAME/blob/REVISION/FILE (resolve: the file itself).
    const size_t name = path->find('/');
    const size_t verb = name == std::string_view::npos ? name : path->find('/', name + 1);
    if (verb == std::string_view::npos) return ParseHubId(*path);
    const std::string_view shown = path->substr(verb + 1);
    std::string id(path->substr(0, verb)), file;
    for (const std::string_view kind : {"tree/", "blob/", "resolve/"}) {
      if (!shown.starts_with(kind)) continue;
      const std::string_view rest = shown.substr(kind.size());
      const size_t slash = rest.find('/');
      id.append("@").append(rest.substr(0, slash));
      if (slash != std::string_view::npos && rest.ends_with(".gguf")) file = rest.substr(slash + 1);
    }
    std::optional<HubId> found = ParseHubId(id);
    if (found && file.find("..") == std::string::npos) found->file = file;
    return found;
  }
  while (text.ends_with('/')) text.remove_suffix(1);
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
    if (const std::string cache = Environment(name); !cache.empty()) return Expanded(cache);
  }
  if (const std::string home = Environment("HF_HOME"); !home.empty()) return fs::path(Expanded(home)) / "hub";
  if (const std::string xdg = Environment("XDG_CACHE_HOME"); !xdg.empty()) {
    return fs::path(Expanded(xdg)) / "huggingface" / "hub";
  }
  if (const std::string home = HomeFolder(); !home.empty()) return fs::path(home) / ".cache" / "huggingface" / "hub";
  return {};
}

bool IsInHubCache(const fs::path& cache, const HubId& id, HubKind kind) {
  return FindRepository(cache, id, kind).has_value();
}

std::vector<std::string> HubCacheIds(const fs::path& cache, HubKind kind) {
  std::vector<std::string> ids;
  const std::string prefix = FolderPrefix(kind);
  for (const std::string& folder : cache.empty() ? std::vector<std::string>() : FoldersIn(cache)) {
    const size_t between = folder.find("--", prefix.size());
    if (!folder.starts_with(prefix) || between == std::string::npos) continue;
    ids.push_back(folder.substr(prefix.size(), between - prefix.size()) + "/" + folder.substr(between + 2));
  }
  return ids;
}

fs::path FindInHubCache(const fs::path& cache, const HubId& id, HubKind kind) {
  const bool is_model = kind == HubKind::kModel;
  const std::string again = is_model ? "download the model again" : "download the data set again";
  const std::string shown = id.org + "/" + id.name;
  const auto fail = [&](const std::string& what, const std::string& found, const std::string& hint) {
    throw Error({.where = shown, .what = what, .found = found, .hint = hint});
  };
  RefuseUnreadable(cache);
  const std::optional<fs::path> repository = FindRepository(cache, id, kind);
  if (!repository && cache.empty()) {
    fail("no such folder, and no Hugging Face cache to look in, as the home folder is unknown", {},
         std::string("give the folder of a downloaded ") + (is_model ? "model" : "data set") +
             ", or set HF_HOME or HF_HUB_CACHE");
  }
  if (!repository) {
    fail("no such folder, and not in the Hugging Face cache " + Quoted(cache.string()), {},
         std::string("give the folder of a downloaded ") + (is_model ? "model" : "data set") +
             ", or download it first (for example with `hf download " + (is_model ? "" : "--repo-type dataset ") +
             shown + "`); HF_HOME and HF_HUB_CACHE tell where the cache is");
  }
  const fs::path snapshots = *repository / "snapshots";
  for (const fs::path& folder : {*repository, snapshots, *repository / "refs"}) RefuseUnreadable(folder);
  std::error_code ignored;
  const fs::path ref = *repository / "refs" / id.revision;
  if (fs::is_regular_file(ref, ignored)) {
    std::string commit = ReadTextFile(ref, 4096);
    while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r' || commit.back() == ' ')) {
      commit.pop_back();
    }
    if (!IsName(commit)) {
      fail("damaged reference in the cache: " + ref.string(), Quoted(commit), again);
    }
    if (!fs::is_directory(snapshots / commit, ignored)) {
      fail("the cache knows the revision but has no files of it: " + (snapshots / commit).string(), {}, again);
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
       "name one with " + shown + "@REVISION, or " + again);
  return {};
}

}  // namespace stablelm
