// Checks a folder of prepared data: the hashes of its files, and everything that training relies on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace stablelm {

struct VerifiedData {
  uint64_t files = 0, bytes = 0, packs = 0, documents = 0, tokens = 0, targets = 0;
};

// Checks that the manifest's files are there with their SHA-256 and no others; the index of each split
// (TokenShards); that every id is below the vocabulary, no first token is a target, and every document has the targets
// that the index says, from a source, file and row that the manifest knows; that the sums are those of the manifest.
// Calls `on_bytes` (optional) with the bytes of each chunk that was hashed. Throws Error at the first contradiction.
VerifiedData VerifyPreparedData(const std::filesystem::path& folder, const std::function<void(size_t)>& on_bytes = {});

}  // namespace stablelm
