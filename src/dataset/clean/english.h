// How much of a conversation is English. CLD2 is used behind this file alone. Pure and thread-safe.
#pragma once

#include <cstddef>

#include "dataset/rows/source_conversation.h"

namespace stablelm {

struct EnglishShare {
  double share = 1;    // of the bytes whose language CLD2 names; 1 if it names none, or is not sure
  size_t letters = 0;  // of the prose that was looked at
};

inline constexpr size_t kMostProseBytes = 2048;  // that are looked at
inline constexpr size_t kLeastLetters = 200;     // fewer are not judged

// Of the first 2 KB of prose: the document or the texts of all turns. Left out are code blocks and code spans
// (dataset/clean/code_ranges.h), and lines that look like code without them: one in ten of the characters or more,
// white space aside, is one of {}()[];=<>+*/\_$#&| (CLD2 takes code for German). A letter is one of ASCII, or another
// code point of \w (UnicodeTables::IsWord).
EnglishShare EnglishShareOf(const SourceConversation& conversation);

// Whether a conversation is to be dropped: more than 200 letters, and a share below the threshold.
bool IsNotEnglish(const SourceConversation& conversation, double threshold);

}  // namespace stablelm
