// Rules that change one text, or the turns of one conversation. Each returns how much it changed, so that every change
// can be counted by name (dataset/clean/reasons.h). Pure and thread-safe. Texts are valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataset/rows/source_conversation.h"

namespace stablelm {

struct ControlChanges {
  uint64_t removed = 0;    // control characters
  uint64_t line_ends = 0;  // CR LF and lone CR that became LF
  bool operator==(const ControlChanges&) const = default;
};

// CR LF becomes LF, and so does a CR without LF. Removed, everywhere, code included: U+0000 to U+001F but tab and LF,
// U+007F, U+0080 to U+009F.
ControlChanges RemoveControlCharacters(std::string& text);

// Removes at both ends what has the Unicode property White_Space, and the invisible U+200B (zero width space) and
// U+FEFF (byte order mark). Returns the number of bytes removed.
uint64_t Strip(std::string& text);

// The button above code in web pages of chats.
inline constexpr std::string_view kCopyCode = "Copy code";

// What is left of that button. Returns how many were removed.
//  - A line that is "Copy code", spaces and tabs around it aside, is removed with its line end, inside code too.
//  - "```python Copy code": a line of three or more backticks, at most one word of letters, digits and "+#._-", and
//    "Copy code", with or without spaces between: "Copy code" and the spaces before it go, and what follows on the line
//    goes to a line of its own.
uint64_t RemoveCopyCode(std::string& text);

// &lt; &gt; &amp; &quot; &apos; &nbsp; and the numeric &#39; &#x27; become characters (&nbsp; a space), once:
// "&amp;lt;" becomes "&lt;". Left as they are: entities in code (dataset/clean/code_ranges.h), other names, those
// without ";", and numbers that are no character, a control character other than tab and LF, or of more than 8 digits.
// Returns how many were decoded. Meant for texts that are not HTML.
uint64_t DecodeEntities(std::string& text);

// "</s>" in assistant turns, outside code, as GPT4All's answers hold it:
//  - before white space that holds two or more line ends it divides the answer. The first part stays the answer; of
//    each later part the first line is a user turn and the rest an assistant turn, all stripped. A part without text is
//    skipped, and a part of one line has no assistant turn. The new turns inherit the turn's `loss`;
//  - any other is removed.
// A text that holds "<s>" too is left as it is: strikethrough of HTML, or a template that is talked about. Returns how
// many divided or were removed.
uint64_t SplitEndMarkers(SourceConversation& conversation);

// Whether an answer begins, within its first 200 bytes, with boilerplate of a model that speaks of itself or declines:
// one of the phrases of `kRefusalPhrases` in text_rules.cc, without regard to case or to the form of the apostrophe.
bool IsRefusal(std::string_view answer);

// Whether an answer is an error message of ChatGPT's web page ("Too many requests in 1 hour. Try again later."): at
// most 300 bytes that begin with one of a list, "!" and white space before it aside, without regard to case.
bool IsErrorMessage(std::string_view answer);

}  // namespace stablelm
