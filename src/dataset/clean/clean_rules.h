// Which cleaning steps run. What only finds rows that cannot be used is on by default; what judges or rewrites content
// is off, and on in the recipes of the card.
#pragma once

#include <cstdint>

namespace stablelm {

struct CleanRules {
  bool control_characters = true;  // remove those other than tab and line end from texts
  bool exact_duplicates = true;    // keep the first of equal conversations
  bool role_order = true;        // drop conversations whose roles do not alternate; false: join neighbours of one role
  bool strip = true;             // user and assistant texts, at both ends
  bool placeholders = false;     // "<noinput>", "No input" as an input become none
  bool html = false;             // turns that are HTML become Markdown
  bool entities = false;         // &lt; in turns that are not HTML
  bool copy_code = false;        // lines "Copy code" of a web page's buttons
  bool end_markers = false;      // "</s>" in an answer divides it into turns
  bool english = false;          // drop conversations in other languages
  bool near_duplicates = false;  // keep the first of nearly equal conversations
  bool refusals = false;         // drop answers of boilerplate ("As an AI language model")
  bool error_messages = false;   // drop answers that are errors of the chat service ("Too many requests")
  double english_threshold = 0.5;  // least share of English in the prose, by CLD2
  double near_threshold = 0.8;     // Jaccard index of 5-gram word sets
  bool operator==(const CleanRules&) const = default;
};

}  // namespace stablelm
