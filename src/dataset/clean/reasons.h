// Why a row is dropped, and what is changed in rows that are kept: the names that the manifest, the report and the
// tests use, with the words of the report. Names are stable; a new entry goes to the end of its enum and its table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stablelm {

struct NamedReason {
  std::string_view name;
  std::string_view words;
};

enum class DropReason : uint8_t {
  kNoQuestion,
  kNoAnswer,
  kEmptyTurn,
  kRolesDoNotAlternate,
  kRefusal,
  kErrorMessage,
  kNotEnglish,
  kExactDuplicate,
  kNearDuplicate,
  kPrefixOfAnother,
  kEvaluationOverlap,
};

inline constexpr auto kDropReasons = std::to_array<NamedReason>({
    {"no-question", "no user turn before an answer"},
    {"no-answer", "no assistant turn after a question"},
    {"empty-turn", "a turn without text"},
    {"roles-do-not-alternate", "two turns in a row of the same role"},
    {"refusal", "an answer that begins with a model's boilerplate"},
    {"error-message", "an answer that is an error message of the chat service"},
    {"not-english", "prose that is mostly in other languages"},
    {"exact-duplicate", "equal to an earlier row"},
    {"near-duplicate", "nearly equal to an earlier row that was kept"},
    {"prefix-of-another", "its prompt begins, or is, the prompt of another row"},
    {"evaluation-overlap", "text of an evaluation set"},
});
static_assert(kDropReasons.size() == static_cast<size_t>(DropReason::kEvaluationOverlap) + 1);

enum class TextChange : uint8_t {
  kControlCharacters,
  kLineEnds,
  kStripped,
  kCopyCode,
  kPlaceholders,
  kEntities,
  kEndMarkers,
  kHtml,
  kHtmlRefused,
  kLeadingAnswers,
  kTrailingQuestions,
  kEmptyTurnsRemoved,
  kTurnsJoined,
};

inline constexpr auto kTextChanges = std::to_array<NamedReason>({
    {"control-characters", "control characters removed"},
    {"line-ends", "line ends CR LF or CR that became LF"},
    {"stripped", "texts that lost white space at an end"},
    {"copy-code", "\"Copy code\" of a web page's button removed"},
    {"placeholders", "inputs such as \"<noinput>\" that became none"},
    {"entities", "HTML entities outside HTML that became characters"},
    {"end-markers", "\"</s>\" that divided an answer into turns, or were removed"},
    {"html", "texts converted from HTML to Markdown"},
    {"html-refused", "HTML texts left as they are: too long or too deep"},
    {"leading-answers", "assistant turns before the first question removed"},
    {"trailing-questions", "user turns after the last answer removed"},
    {"empty-turns-removed", "empty turns removed"},
    {"turns-joined", "turns joined with the turn before, of the same role"},
});
static_assert(kTextChanges.size() == static_cast<size_t>(TextChange::kTurnsJoined) + 1);

constexpr std::string_view NameOf(DropReason reason) { return kDropReasons[static_cast<size_t>(reason)].name; }
constexpr std::string_view WordsOf(DropReason reason) { return kDropReasons[static_cast<size_t>(reason)].words; }
constexpr std::string_view NameOf(TextChange change) { return kTextChanges[static_cast<size_t>(change)].name; }
constexpr std::string_view WordsOf(TextChange change) { return kTextChanges[static_cast<size_t>(change)].words; }

// How often each change was made.
struct ChangeCounts {
  std::array<uint64_t, kTextChanges.size()> counts = {};

  uint64_t& operator[](TextChange change) { return counts[static_cast<size_t>(change)]; }
  uint64_t operator[](TextChange change) const { return counts[static_cast<size_t>(change)]; }
  ChangeCounts& operator+=(const ChangeCounts& other) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    return *this;
  }
  bool operator==(const ChangeCounts&) const = default;
};

}  // namespace stablelm
