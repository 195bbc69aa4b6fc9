// Hashes of texts: XXH3 with seed 0, the same on every machine. xxhash is used behind this file alone. Pure and
// thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "dataset/rows/source_conversation.h"

namespace stablelm {

struct ContentKey {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const ContentKey&) const = default;
};

uint64_t Hash64(std::string_view bytes);     // XXH3, 64 bits
ContentKey Hash128(std::string_view bytes);  // XXH3, 128 bits

// The key of a conversation for exact duplicates: equal for conversations that differ in white space alone. Hashed are
// the system text and the document, if there are any, and each turn's role and text; in texts, runs of Unicode's
// White_Space become one space, and go at both ends. Case, punctuation and the borders of turns count.
ContentKey KeyOf(const SourceConversation& conversation);

}  // namespace stablelm
