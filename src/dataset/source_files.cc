#include "dataset/source_files.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include "base/ascii.h"
#include "base/broken_link.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/home_folder.h"
#include "base/nearest.h"
#include "base/read_error.h"
#include "base/utf8.h"
#include "checkpoint/huggingface/hub_cache.h"
#include "dataset/split_names.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostFiles = 200'000;
constexpr std::array<std::string_view, 4> kCompressions = {".gz", ".gzip", ".zst", ".zstd"};
// Those that OpenRows knows, but .md, which describes a data set more often than it is one.
constexpr std::array<std::string_view, 10> kExtensions = {".json", ".jsonl",   ".ndjson", ".jsonlines", ".csv",
                                                          ".tsv",  ".parquet", ".arrow",  ".txt",       ".text"};
// What `datasets` writes about a data set, which is no data.
constexpr std::array<std::string_view, 4> kDescriptions = {"dataset_info.json", "dataset_infos.json",
                                                           "dataset_dict.json", "state.json"};

// A file below a folder.
struct FoundFile {
  fs::path path;
  std::string name;  // its path from the folder
};

bool IsPattern(std::string_view text) { return text.find_first_of("*?[") != std::string_view::npos; }

// `end` in lower case.
bool EndsWith(std::string_view name, std::string_view end) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return name.size() >= end.size() && std::ranges::equal(name.substr(name.size() - end.size()), end, {}, lower);
}

std::string_view WithoutCompression(std::string_view name) {
  for (const std::string_view end : kCompressions) {
    if (EndsWith(name, end)) return name.substr(0, name.size() - end.size());
  }
  return name;
}

// Files that hold the same kind of rows may be read together.
std::string_view FormatOf(std::string_view name) {
  const std::string_view extension = DataExtension(name);
  if (extension == ".jsonl" || extension == ".ndjson" || extension == ".jsonlines") return ".json";
  return extension == ".text" ? ".txt" : extension;
}

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool IsFolder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

void RequireFile(const fs::path& path) {
  RefuseBrokenLink(path);
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    throw Error({.where = path.string(),
                 .what = "not a regular file",
                 .hint = "data is read more than once: write what comes from a pipe to a file first"});
  }
  if (fs::file_size(path, error) >= 1024 || error) return;
  std::ifstream file(path, std::ios::binary);
  char content[1024];
  file.read(content, sizeof content);
  RefuseLfsPointer(path.string(), {content, static_cast<size_t>(file.gcount())});
}

// Sorted. `error`: why there are no more.
std::vector<std::string> NamesIn(const fs::path& folder, std::error_code& error) {
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder, error), end; !error && it != end && names.size() < kMostFiles;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

// For an error message: the first names, hidden ones aside.
std::string Shortened(std::vector<std::string> names) {
  constexpr size_t kMost = 6;
  std::erase_if(names, [](const std::string& name) { return name.starts_with('.'); });
  if (names.empty()) return "no files";
  const size_t count = names.size();
  if (count <= kMost) return Joined(names);
  names.resize(kMost);
  return Joined(names) + " and " + std::to_string(count - kMost) + " more";
}

std::string Contents(const fs::path& folder) {
  std::error_code ignored;
  return Shortened(NamesIn(folder, ignored));
}

// Whether these are the names of the files of prepared data (dataset/token_shards.h).
bool IsPrepared(std::span<const std::string> names) {
  return std::ranges::find(names, "manifest.json") != names.end() &&
         std::ranges::find(names, "train.index") != names.end();
}

// Looks for the files of one path.
class Search {
 public:
  Search(const std::string& written, std::span<const std::string> splits, const fs::path& folder,
         const std::string& where)
      : written_(written), splits_(splits), folder_(folder), where_(where) {
    // An absolute path stays what it is.
    path_ = folder == "." ? fs::path(ExpandHome(written)) : folder / ExpandHome(written);
  }

  // Of Run: a sentence about the files of a folder that tell no split.
  const std::vector<std::string>& left_out() const { return left_out_; }
  std::vector<FoundFile> Run() {
    std::vector<FoundFile> found;
    const fs::path pattern = ExpandHome(written_);
    const fs::path start = pattern.is_absolute() ? "/" : folder_;
    if (Exists(path_)) {
      found = OfPath(path_);
    } else if (IsPattern(written_) && IsFolder(start / FixedPart(pattern))) {
      found = OfPattern(start, pattern.relative_path());
    } else if (const std::optional<fs::path> snapshot = FindOnHub()) {
      const fs::path below = below_.empty() ? *snapshot : *snapshot / below_;
      if (Exists(below)) {
        found = OfPath(below);
      } else if (IsPattern(below_)) {
        found = OfPattern(*snapshot, below_);
      } else {
        Missing(below);
      }
    } else {
      Missing(IsPattern(written_) ? start / FixedPart(pattern) : path_);
    }
    for (const FoundFile& file : found) RequireFile(file.path);
    return found;
  }

  bool IsMissingOnHub() const {
    const fs::path pattern = ExpandHome(written_);
    const fs::path start = pattern.is_absolute() ? "/" : folder_;
    const std::string text = WithoutPage(written_);
    const std::optional<HubId> id = HubIdOf(text);
    return id && DataExtension(text).empty() && !Exists(path_) && !IsFolder(start / *pattern.begin()) &&
           !IsInHubCache(HubCacheFolder(), *id, HubKind::kDataset);
  }

 private:
  [[noreturn]] void Fail(ErrorInfo info) const {
    info.where = where_;
    throw Error(std::move(info));
  }

  // Says what there is instead: the names in the nearest folder, data sets in the cache.
  [[noreturn]] void Missing(const fs::path& path) const {
    fs::path folder = path.parent_path();
    std::string name = path.filename().string();
    if (name.empty()) {  // "folder/"
      name = folder.filename().string();
      folder = folder.parent_path();
    }
    while (!folder.empty() && !IsFolder(folder) && folder != folder.parent_path()) {
      name = folder.filename().string();
      folder = folder.parent_path();
    }
    if (folder.empty()) folder = ".";
    std::error_code ignored;
    const std::string contents = Quoted(folder.string()) + " contains " + Contents(folder);
    ErrorInfo info{.what = "no file or folder " + Quoted(path.string())};
    info.hint = DidYouMean(name, NamesIn(folder, ignored), contents);
    const std::string text = WithoutPage(written_);
    const std::optional<HubId> id = HubIdOf(text);
    if (id && DataExtension(written_).empty()) {
      const fs::path cache = HubCacheFolder();
      const std::string shown = id->org + "/" + id->name;
      const std::vector<std::string> ids = HubCacheIds(cache, HubKind::kDataset);
      info.what += ", and no data set " + Quoted(shown) + " in the Hugging Face cache " + Quoted(cache.string());
      const std::string nearest = NearestName(shown, ids);
      info.hint = nearest.empty() ? info.hint + "; `hf download --repo-type dataset " + shown +
                                        "` downloads one from the hub, HF_HOME and HF_HUB_CACHE tell where the cache is"
                                  : "did you mean " + nearest + "?";
    }
    Fail(std::move(info));
  }

  // ORG/NAME@REVISION/FILE of the address of a page, .../datasets/ORG/NAME/blob/REVISION/FILE; other texts as they are.
  static std::string WithoutPage(std::string text) {
    while (text.ends_with('/')) text.pop_back();
    constexpr std::string_view kHub = "huggingface.co/datasets/";
    const size_t hub = LowerAscii(text).find(kHub);
    if (hub == std::string::npos || (hub > 0 && !text.substr(0, hub).ends_with("://"))) return text;
    text = text.substr(hub + kHub.size());
    for (const std::string_view shown : {"/tree/", "/blob/", "/resolve/"}) {
      if (const size_t at = text.find(shown); at != std::string::npos) return text.replace(at, shown.size(), "@");
    }
    return text;
  }
  // The data set that a text begins with.
  static std::optional<HubId> HubIdOf(std::string_view text) {
    const size_t name = text.find('/');
    const size_t end = name == std::string_view::npos ? name : text.find('/', name + 1);
    return ParseHubId(text.substr(0, end));
  }

  // The snapshot of the data set that the path begins with, if the cache has it; below_ is what follows.
  std::optional<fs::path> FindOnHub() {
    const std::string id_and_below = WithoutPage(written_);
    const std::string_view text = id_and_below;
    const fs::path cache = HubCacheFolder();
    const std::optional<HubId> first = HubIdOf(text);
    if (!first || !IsInHubCache(cache, *first, HubKind::kDataset)) return std::nullopt;
    // A revision may contain slashes (refs/convert/parquet), and so may what follows it: the longest that is there.
    const size_t name = text.find('/');
    const size_t least = std::min(text.find('/', name + 1), text.size());
    size_t end = text.substr(0, least).find('@') == std::string_view::npos ? least : text.size();
    while (true) {
      const std::optional<HubId> id = ParseHubId(text.substr(0, end));
      try {
        if (id) {
          fs::path snapshot = FindInHubCache(cache, *id, HubKind::kDataset);
          below_ = end < text.size() ? text.substr(end + 1) : "";
          return snapshot;
        }
      } catch (const Error& error) {
        if (end == least) {
          ErrorInfo info = error.info();
          info.what = info.where + ": " + info.what;
          Fail(std::move(info));
        }
      }
      end = text.rfind('/', end - 1);
    }
  }

  std::vector<FoundFile> OfPath(const fs::path& path) const {
    if (IsFolder(path)) return OfFolder(path);
    return {{path, path.filename().string()}};
  }

  std::vector<FoundFile> OfFolder(const fs::path& folder) const {
    std::error_code ignored;
    if (IsPrepared(NamesIn(folder, ignored))) {
      Fail({.what = "a folder of prepared data",
            .found = Quoted(folder.string()),
            .expected = "data files",
            .hint = "`stablelm data export` prints its conversations"});
    }
    std::vector<FoundFile> all;
    Walk(
        folder, "", [](std::string_view name) { return !name.starts_with('.') && !name.starts_with('_'); },
        [&](const fs::path& path, const std::string& name) {
          const std::string file = path.filename().string();
          const bool is_data =
              !DataExtension(file).empty() && std::ranges::find(kDescriptions, file) == kDescriptions.end();
          if (is_data) all.push_back({path, name});
        });
    const bool has_rows = std::ranges::any_of(all, [](const FoundFile& file) { return FormatOf(file.name) != ".txt"; });
    if (has_rows) std::erase_if(all, [](const FoundFile& file) { return FormatOf(file.name) == ".txt"; });
    if (all.empty()) {
      Fail({.what = "a folder without data files",
            .found = Quoted(folder.string()) + " with " + Contents(folder),
            .expected = "files that end in " +
                        Joined(std::vector<std::string>(kExtensions.begin(), kExtensions.end())) +
                        ", also with .gz or .zst"});
    }
    std::ranges::sort(all, {}, &FoundFile::name);
    return OfSplit(folder, all);
  }

  std::vector<FoundFile> OfSplit(const fs::path& folder, const std::vector<FoundFile>& all) const {
    std::vector<FoundFile> chosen;
    std::vector<std::string> untold;
    for (const std::string& split : splits_) {
      untold.clear();
      for (const FoundFile& file : all) {
        const SplitMatch match = MatchSplit(file.name, split);
        if (match == SplitMatch::kUntold) untold.push_back(file.name);
        if (match == SplitMatch::kWanted) chosen.push_back(file);
      }
      if (untold.size() == all.size() && split == "train") {
        chosen = all;
        untold.clear();
      }
      if (!chosen.empty()) break;
    }
    if (chosen.empty()) {
      std::vector<std::string> names, wanted;
      for (const FoundFile& file : all) names.push_back(file.name);
      for (const std::string& split : splits_) wanted.push_back(Quoted(split));
      Fail({.what = "no file of the split " + Joined(wanted, " or "),
            .found = Quoted(folder.string()) + " with " + Shortened(names),
            .expected = "files whose names tell the split",
            .hint = "choose another with `split`, or name the files with a pattern in `path`"});
    }
    std::map<std::string_view, size_t> formats;
    for (const FoundFile& file : chosen) ++formats[FormatOf(file.name)];
    if (formats.size() > 1) {
      std::vector<std::string> counts;
      for (const auto& [format, count] : formats)
        counts.push_back(std::to_string(count) + " of " + std::string(format));
      Fail({.what = "files of several formats",
            .found = Joined(counts) + " in " + Quoted(folder.string()),
            .hint = "they may be the same rows: name those you want, as in " +
                    Quoted(written_ + "/**/*" + std::string(formats.begin()->first))});
    }
    RequireAllShards(folder, chosen);
    if (!untold.empty()) {
      left_out_.push_back(Counted(untold.size(), "file") + " left out, whose names tell no split while " +
                          Quoted(chosen[0].name) + " does (" + Shortened(untold) +
                          "); `path` may be a list: name them too");
    }
    return chosen;
  }

  void RequireAllShards(const fs::path& folder, std::span<const FoundFile> files) const {
    std::map<std::pair<std::string, uint64_t>, std::set<uint64_t>> present;  // by what surrounds the number
    for (const FoundFile& file : files) {
      if (const std::optional<ShardName> shard = ParseShardName(file.name)) {
        present[{shard->base, shard->count}].insert(shard->index);
      }
    }
    for (const auto& [group, numbers] : present) {
      const auto& [base, count] = group;
      if (numbers.size() >= count) continue;
      uint64_t missing = 0;
      while (numbers.contains(missing)) ++missing;
      Fail({.what = "files of a data set are missing",
            .found = std::to_string(numbers.size()) + " of " + std::to_string(count) + " files " + Quoted(base) +
                     " in " + Quoted(folder.string()) + "; the first that is not there is number " +
                     std::to_string(missing),
            .hint = "download the rest, or name the files that you have with a pattern in `path`"});
    }
  }

  // Calls `file` for each file at any depth below `folder`, and follows the folders that `enter` takes.
  template <typename Enter, typename File>
  void Walk(const fs::path& folder, const std::string& prefix, const Enter& enter, const File& file) const {
    const std::vector<std::string> names = ReadFolder(folder);
    if (!prefix.empty() && IsPrepared(names)) return;
    for (const std::string& name : names) {
      if (!enter(name)) continue;
      const fs::path path = folder / name;
      std::error_code ignored;
      if (fs::symlink_status(path, ignored).type() == fs::file_type::directory) {
        Walk(path, prefix + name + "/", enter, file);
      } else if (!IsFolder(path)) {
        file(path, prefix + name);
      }
    }
  }

  std::vector<std::string> ReadFolder(const fs::path& folder) const {
    std::error_code error;
    std::vector<std::string> names = NamesIn(folder, error);
    if (error) {
      Fail({.what = "the folder " + Quoted(folder.string()) + " cannot be read: " + error.message(),
            .hint = HintToRead(error.value())});
    }
    seen_ += names.size();
    if (seen_ >= kMostFiles) {
      Fail({.what = "too many files",
            .found = "more than " + std::to_string(kMostFiles) + " names",
            .hint = "name a smaller folder in `path`"});
    }
    return names;
  }

  // The folders before the first wildcard.
  static fs::path FixedPart(const fs::path& pattern) {
    fs::path fixed;
    for (const fs::path& part : pattern.relative_path()) {
      if (IsPattern(part.string())) break;
      fixed /= part;
    }
    return fixed;
  }

  // Files below `start` that match. The fixed part is no part of their names.
  std::vector<FoundFile> OfPattern(const fs::path& start, const fs::path& pattern) const {
    const fs::path fixed = FixedPart(pattern);
    const fs::path folder = fixed.empty() ? start : start / fixed;
    if (!IsFolder(folder)) Missing(folder);
    std::vector<std::string> parts;
    for (const fs::path& part : fixed.empty() ? pattern : pattern.lexically_relative(fixed)) {
      if (!part.empty()) parts.push_back(part.string());
    }
    std::map<std::string, FoundFile> found;  // ** can reach a file in two ways
    Match(folder, "", parts, found);
    if (found.empty()) {
      Fail({.what = "no file matches the pattern",
            .found = Quoted(folder.string()) + " with " + Contents(folder),
            .expected = Joined(parts, "/"),
            .hint = "** stands for folders, a name that begins with a dot needs a pattern that does"});
    }
    std::vector<FoundFile> files;
    for (auto& [name, file] : found) files.push_back(std::move(file));
    return files;
  }

  void Match(const fs::path& folder, const std::string& prefix, std::span<const std::string> parts,
             std::map<std::string, FoundFile>& found) const {
    if (parts.empty()) return;
    const bool is_deep = parts[0] == "**";
    if (is_deep) Match(folder, prefix, parts.subspan(1), found);
    for (const std::string& name : ReadFolder(folder)) {
      if (fnmatch(is_deep ? "*" : parts[0].c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
      const fs::path path = folder / name;
      std::error_code ignored;
      const bool is_real_folder = fs::symlink_status(path, ignored).type() == fs::file_type::directory;
      if (is_deep) {
        if (is_real_folder) Match(path, prefix + name + "/", parts, found);
        if (parts.size() > 1 || IsFolder(path)) continue;
      } else if (IsFolder(path)) {
        Match(path, prefix + name + "/", parts.subspan(1), found);
        continue;
      }
      if (parts.size() == 1) found.insert({prefix + name, {path, prefix + name}});
    }
  }

  static void Sort(std::vector<FoundFile>& files) { std::ranges::sort(files, {}, &FoundFile::name); }

  const std::string& written_;
  std::span<const std::string> splits_;
  const fs::path& folder_;  // of the recipe
  const std::string& where_;
  fs::path path_;
  std::string below_;
  mutable size_t seen_ = 0;  // names of folders that were read
  mutable std::vector<std::string> left_out_;
};

}  // namespace

std::string_view DataExtension(std::string_view name) {
  name = WithoutCompression(name);
  for (const std::string_view end : kExtensions) {
    if (name.size() > end.size() && EndsWith(name, end)) return end;
  }
  return {};
}

std::vector<SourceFile> FindDataFiles(const std::string& path, std::span<const std::string> splits,
                                      const std::filesystem::path& recipe_folder, const std::string& where,
                                      std::vector<std::string>* left_out) {
  std::vector<SourceFile> files;
  Search search(path, splits, recipe_folder, where);
  for (FoundFile& file : search.Run()) files.push_back({std::move(file.path), utf8::ReplaceInvalid(file.name)});
  if (left_out) {
    for (const std::string& sentence : search.left_out()) left_out->push_back(where + ": " + sentence);
  }
  return files;
}

bool IsMissingOnHub(const std::string& path, const std::filesystem::path& recipe_folder) {
  return Search(path, {}, recipe_folder, "").IsMissingOnHub();
}

std::vector<SourceFile> FindSourceFiles(const SourceRecipe& source, const std::filesystem::path& recipe_folder,
                                        std::vector<std::string>* left_out) {
  std::vector<SourceFile> all;
  std::map<std::string, int> names;
  std::set<fs::path> paths;
  for (const std::string& path : source.paths) {
    const std::string where = "source " + Quoted(source.name) + ": path " + Quoted(path);
    for (SourceFile& file : FindDataFiles(path, {&source.split, 1}, recipe_folder, where, left_out)) {
      if (!paths.insert(fs::absolute(file.path).lexically_normal()).second) {
        throw Error({.where = where,
                     .what = "this file a second time",
                     .found = Quoted(file.path.string()),
                     .hint = "`weight` repeats a source"});
      }
      const int times = ++names[file.name];
      if (times > 1) file.name += "#" + std::to_string(times);
      all.push_back(std::move(file));
    }
  }
  return all;
}

std::string DataName(std::string_view path) {
  if (path.find('@') != std::string_view::npos && ParseHubId(path)) path = path.substr(0, path.rfind('@'));
  while (path.ends_with('/')) path.remove_suffix(1);
  std::string_view name = path.substr(path.rfind('/') + 1);
  if (IsPattern(name)) return "";
  name = WithoutCompression(name);
  name.remove_suffix(DataExtension(name).size());
  return utf8::ReplaceInvalid(name.substr(0, 90));
}

}  // namespace stablelm
