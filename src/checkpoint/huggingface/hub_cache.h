// Finds a model or a data set in the local Hugging Face cache by its hub id, without network access.
//
// Layout (huggingface_hub, docs/source/en/guides/manage-cache.md): models--ORG--NAME/refs/REVISION contains a commit,
// models--ORG--NAME/snapshots/COMMIT/ the files (of data sets: datasets--ORG--NAME), as symlinks into blobs/ or as
// copies. Accepts any existing snapshot folder; the caller checks its contents.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

struct HubId {
  std::string org, name, revision;  // revision defaults to "main"
  std::string file = {};            // when a page's address shows a .gguf file
};
// "org/name", "org/name@revision", "org/name/" or the address of a page of the model
// ("https://huggingface.co/org/name/tree/main") or its place for huggingface_hub ("hf://org/name"); nullopt for
// anything else (absolute and relative paths, other characters).
std::optional<HubId> ParseHubId(std::string_view text);

// HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
// ~/.cache/huggingface/hub, with "~" and $NAME in the values replaced, as huggingface_hub does; empty if the home
// folder is not known either.
std::filesystem::path HubCacheFolder();

// What the address of a page on the hub shows other than a model: "a data set", "a Space"; empty for anything else.
std::string_view OtherHubPage(std::string_view text);

enum class HubKind : uint8_t { kModel, kDataset };

// The snapshot folder of the model or data set. Without an exact match, the repository's name is matched
// case-insensitively (StabilityAI and stabilityai are the same organisation). Throws Error if it is not in the cache or
// the cache cannot be read.
std::filesystem::path FindInHubCache(const std::filesystem::path& cache, const HubId& id,
                                     HubKind kind = HubKind::kModel);
// Whether the cache has any revision of it.
bool IsInHubCache(const std::filesystem::path& cache, const HubId& id, HubKind kind);
// What the cache has, as "ORG/NAME", sorted.
std::vector<std::string> HubCacheIds(const std::filesystem::path& cache, HubKind kind);

}  // namespace stablelm
