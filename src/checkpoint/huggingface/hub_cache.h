// Finding a model in the Hugging Face cache by its hub id, without network.
//
// Layout (huggingface_hub, docs/source/en/guides/manage-cache.md): models--ORG--NAME/refs/REVISION holds a commit,
// models--ORG--NAME/snapshots/COMMIT/ the files, as symlinks into blobs/ or as copies. Any snapshot folder that is
// there is accepted; what is inside is judged by whoever opens it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace stablelm {

struct HubId {
  std::string org, name, revision;  // revision "main" when not given
};
// "org/name" or "org/name@revision"; nullopt for anything else (absolute and relative paths, other characters).
std::optional<HubId> ParseHubId(std::string_view text);

// HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
// ~/.cache/huggingface/hub; empty when not even HOME is set.
std::filesystem::path HubCacheFolder();

// The snapshot folder of the model. The repository's name is matched without regard to case when there is no exact
// match (StabilityAI and stabilityai are one organisation). Throws Error when the cache does not have it.
std::filesystem::path FindInHubCache(const std::filesystem::path& cache, const HubId& id);

}  // namespace stablelm
