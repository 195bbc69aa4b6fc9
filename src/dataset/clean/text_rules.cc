#include "dataset/clean/text_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "base/utf8.h"
#include "dataset/clean/code_ranges.h"
#include "dataset/rows/trimmed.h"

namespace stablelm {
namespace {

constexpr std::string_view kBlank = " \t";

// Offset after "Copy code" in an opening fence that has it, and in `label` where the label ends.
std::optional<size_t> CopyCodeInFence(std::string_view line, size_t& label) {
  const size_t fence = line.find_first_not_of(kBlank);
  if (fence == std::string_view::npos) return std::nullopt;
  const size_t info = std::min(line.find_first_not_of('`', fence), line.size());
  if (info - fence < 3) return std::nullopt;
  const size_t copy = line.find(kCopyCode, info);
  if (copy == std::string_view::npos) return std::nullopt;
  std::string_view word = line.substr(info, copy - info);
  const size_t end = word.find_last_not_of(kBlank);
  label = info + (end == std::string_view::npos ? 0 : end + 1);
  word = line.substr(info, label - info);
  word.remove_prefix(std::min(word.find_first_not_of(kBlank), word.size()));
  const bool is_label = std::all_of(word.begin(), word.end(), [](char c) {
    return (LowerAscii(c) >= 'a' && LowerAscii(c) <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("+#._-").find(c) != std::string_view::npos;
  });
  return is_label ? std::optional(copy + kCopyCode.size()) : std::nullopt;
}

struct Entity {
  char32_t character = 0;
  size_t bytes = 0;  // 0: none
};

// The entity at the beginning of `text`, which begins with '&'.
Entity EntityAt(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char32_t>, 6> kNames = {
      {{"&lt;", U'<'}, {"&gt;", U'>'}, {"&amp;", U'&'}, {"&quot;", U'"'}, {"&apos;", U'\''}, {"&nbsp;", U' '}}};
  for (const auto& [name, character] : kNames) {
    if (text.starts_with(name)) return {character, name.size()};
  }
  if (!text.starts_with("&#")) return {};
  const bool hex = text.size() > 2 && (text[2] == 'x' || text[2] == 'X');
  const size_t first = hex ? 3 : 2;
  const size_t end = text.substr(0, first + 9).find(';', first);
  if (end == std::string_view::npos) return {};
  uint32_t value = 0;
  const auto [stop, error] = std::from_chars(text.data() + first, text.data() + end, value, hex ? 16 : 10);
  if (error != std::errc() || stop != text.data() + end) return {};
  if (value == 0xA0) value = ' ';
  const bool control = (value < 0x20 && value != '\t' && value != '\n') || (value >= 0x7F && value < 0xA0);
  if (control || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return {};
  return {value, end + 1};
}

// "</s>" of a text that divides it, or is to be removed, in order.
std::vector<size_t> EndMarkers(std::string_view text) {
  std::vector<size_t> markers;
  if (text.find("</s>") == std::string_view::npos || text.find("<s>") != std::string_view::npos) return markers;
  const std::vector<TextRange> code = CodeRanges(text);
  auto range = code.begin();
  for (size_t at = text.find("</s>"); at != std::string_view::npos; at = text.find("</s>", at + 1)) {
    while (range != code.end() && range->end <= at) ++range;
    if (range == code.end() || at < range->begin) markers.push_back(at);
  }
  return markers;
}

constexpr std::string_view kMarker = "</s>";

// Offset of what follows the white space after a marker, if that holds two line ends.
std::optional<size_t> AfterSeparator(std::string_view text, size_t marker) {
  const size_t begin = marker + kMarker.size();
  const size_t end = std::min(text.find_first_not_of(" \t\r\n", begin), text.size());
  const std::string_view between = text.substr(begin, end - begin);
  return std::count(between.begin(), between.end(), '\n') >= 2 ? std::optional(end) : std::nullopt;
}

// Divides an answer at its markers into turns. Returns the number of markers; 0: nothing was appended.
size_t AppendParts(const SourceTurn& turn, std::vector<SourceTurn>& turns) {
  const std::string_view text = turn.text;
  const std::vector<size_t> markers = EndMarkers(text);
  if (markers.empty()) return 0;
  std::vector<std::string> parts(1);
  size_t at = 0;
  for (const size_t marker : markers) {
    parts.back() += text.substr(at, marker - at);
    at = marker + kMarker.size();
    if (const std::optional<size_t> next = AfterSeparator(text, marker)) {
      parts.emplace_back();
      at = *next;
    }
  }
  parts.back() += text.substr(at);
  turns.push_back({Role::kAssistant, std::string(Trimmed(parts.front())), turn.loss});
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string_view part = Trimmed(parts[i]);
    if (part.empty()) continue;
    const size_t line = std::min(part.find('\n'), part.size());
    turns.push_back({Role::kUser, std::string(Trimmed(part.substr(0, line))), turn.loss});
    if (line < part.size()) turns.push_back({Role::kAssistant, std::string(Trimmed(part.substr(line))), turn.loss});
  }
  return markers.size();
}

constexpr std::string_view kRefusalPhrases[] = {
    "as an ai language model",
    "as a large language model",
    "as an ai assistant",
    "as an ai model",
    "as an ai,",
    "as an artificial intelligence,",
    "i'm just an ai",
    "i am just an ai",
    "i'm an ai language model",
    "i am an ai language model",
    "i'm sorry, but i can't",
    "i'm sorry, but i cannot",
    "i'm sorry, but i am unable",
    "i'm sorry, but i'm unable",
    "i'm sorry, i can't assist",
    "i'm sorry, i cannot assist",
    "i am sorry, but i cannot",
    "i apologize, but i cannot",
    "i cannot fulfill",
    "i can't fulfill",
    "i cannot comply",
};

constexpr std::string_view kErrorMessages[] = {
    "too many requests",
    "sorry, too many requests",
    "something went wrong. if this issue persists",
    "an error occurred. if this issue persists",
    "an error occurred. either the engine you requested does not exist",
    "the server had an error while processing your request",
    "the server experienced an error while processing your request",
    "hmm...something seems to have gone wrong",
    "conversation not found",
    "network error",
    "error in body stream",
    "our systems are a bit busy at the moment",
    "only one message at a time",
};

}  // namespace

ControlChanges RemoveControlCharacters(std::string& text) {
  ControlChanges changes;
  size_t to = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c == '\r') {
      ++changes.line_ends;
      if (at + 1 < text.size() && text[at + 1] == '\n') continue;
      text[to++] = '\n';
    } else if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7F) {
      ++changes.removed;
    } else if (c == 0xC2 && at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) < 0xA0) {  // C1
      ++changes.removed;
      ++at;
    } else {
      text[to++] = text[at];
    }
  }
  text.resize(to);
  return changes;
}

uint64_t Strip(std::string& text) {
  const std::string_view kept = Trimmed(text);
  const uint64_t removed = text.size() - kept.size();
  if (removed > 0) text = std::string(kept);
  return removed;
}

uint64_t RemoveCopyCode(std::string& text) {
  if (text.find(kCopyCode) == std::string::npos) return 0;
  uint64_t removed = 0;
  std::string out;
  const std::string_view all = text;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    const size_t next = std::min(end + 1, all.size());
    const std::string_view line = all.substr(at, end - at);
    const size_t first = line.find_first_not_of(kBlank);
    size_t label = 0;
    if (first != std::string_view::npos &&
        line.substr(first, line.find_last_not_of(" \t\r") + 1 - first) == kCopyCode) {
      ++removed;
      // The last line has no line end of its own: the one before it goes.
      if (end == all.size() && !out.empty()) out.pop_back();
    } else if (const std::optional<size_t> after = CopyCodeInFence(line, label)) {
      ++removed;
      out += line.substr(0, label);
      std::string_view rest = line.substr(*after);
      if (rest.find_first_not_of(" \t\r") == std::string_view::npos) rest = {};
      if (!rest.empty()) out.append(1, '\n').append(rest);
      out += all.substr(end, next - end);
    } else {
      out += all.substr(at, next - at);
    }
    at = next;
  }
  if (removed > 0) text = std::move(out);
  return removed;
}

uint64_t DecodeEntities(std::string& text) {
  if (text.find('&') == std::string::npos || text.find(';') == std::string::npos) return 0;
  const std::vector<TextRange> code = CodeRanges(text);
  auto range = code.begin();
  uint64_t decoded = 0;
  std::string out;
  const std::string_view all = text;
  size_t copied = 0;
  for (size_t at = all.find('&'); at != std::string_view::npos; at = all.find('&', at)) {
    while (range != code.end() && range->end <= at) ++range;
    if (range != code.end() && at >= range->begin) {
      at = range->end;
      continue;
    }
    const Entity entity = EntityAt(all.substr(at));
    if (entity.bytes == 0) {
      ++at;
      continue;
    }
    ++decoded;
    out += all.substr(copied, at - copied);
    utf8::Append(entity.character, out);
    at += entity.bytes;
    copied = at;
  }
  if (decoded == 0) return 0;
  out += all.substr(copied);
  text = std::move(out);
  return decoded;
}

uint64_t SplitEndMarkers(SourceConversation& conversation) {
  uint64_t changed = 0;
  std::vector<SourceTurn> turns;
  for (SourceTurn& turn : conversation.turns) {
    const size_t markers = turn.role == Role::kAssistant ? AppendParts(turn, turns) : 0;
    if (markers == 0) turns.push_back(std::move(turn));
    changed += markers;
  }
  conversation.turns = std::move(turns);
  return changed;
}

bool IsRefusal(std::string_view answer) {
  constexpr size_t kBeginning = 200;
  answer = answer.substr(0, kBeginning);
  constexpr std::string_view kCurly = "\xE2\x80\x99";  // U+2019
  std::string lower;
  for (size_t at = 0; at < answer.size(); ++at) {
    const bool curly = answer.substr(at).starts_with(kCurly);
    lower += curly ? '\'' : LowerAscii(answer[at]);
    if (curly) at += kCurly.size() - 1;
  }
  return std::any_of(std::begin(kRefusalPhrases), std::end(kRefusalPhrases),
                     [&](std::string_view phrase) { return lower.find(phrase) != std::string::npos; });
}

bool IsErrorMessage(std::string_view answer) {
  constexpr size_t kLongest = 300;
  answer = Trimmed(answer);
  if (answer.size() > kLongest) return false;
  while (answer.starts_with('!')) answer = Trimmed(answer.substr(1));
  const std::string lower = LowerAscii(answer);
  return std::any_of(std::begin(kErrorMessages), std::end(kErrorMessages),
                     [&](std::string_view message) { return lower.starts_with(message); });
}

}  // namespace stablelm
