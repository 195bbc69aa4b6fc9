#include "dataset/reason_words.h"

#include "dataset/clean/reasons.h"

namespace stablelm {

std::string_view ReasonWords(std::string_view name) {
  for (const NamedReason& reason : kDropReasons) {
    if (reason.name == name) return reason.words;
  }
  for (const NamedReason& change : kTextChanges) {
    if (change.name == name) return change.words;
  }
  static constexpr NamedReason kOthers[] = {
      {"bad-file", "in a file that could not be read to its end"},
      {"broken-row", "rows that are not whole"},
      {"not-json", "rows that are not valid JSON"},
      {"missing-column", "rows without a column that the kind needs"},
      {"null-content", "a text that is null"},
      {"wrong-type", "a value of the wrong type"},
      {"tool", "calls or answers of tools"},
      {"not-text", "images and other parts that are not text"},
      {"unknown-role", "a role that is not known"},
      {"late-system", "a system text after the beginning"},
      {"no-turns", "no turns"},
      {"no-markers", "no role marker at the beginning"},
      {"not-a-transcript", "not a transcript of Human and Assistant"},
      {"unknown-category", "a category that the author's scripts do not know"},
      {"too-long", "a question and answer longer than the sequence"},
      {"no-targets", "nothing to be learned"},
      {"encoding-repairs", "ill-formed UTF-8 and lone surrogates that became U+FFFD"},
  };
  for (const NamedReason& other : kOthers) {
    if (other.name == name) return other.words;
  }
  return "";
}

std::string_view KeyOfReason(std::string_view name) {
  static constexpr NamedReason kKeys[] = {
      {"missing-column", "kind"},
      {"roles-do-not-alternate", "clean.role_order"},
      {"empty-turn", "clean.role_order"},
      {"refusal", "clean.refusals"},
      {"error-message", "clean.error_messages"},
      {"not-english", "clean.english"},
      {"exact-duplicate", "clean.exact_duplicates"},
      {"near-duplicate", "clean.near_duplicates"},
      {"prefix-of-another", "loss"},
      {"evaluation-overlap", "overlap"},
      {"too-long", "long_turn"},
      {"no-targets", "loss"},
  };
  for (const NamedReason& key : kKeys) {
    if (key.name == name) return key.words;
  }
  return "";
}

}  // namespace stablelm
