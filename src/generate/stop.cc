#include "generate/stop.h"

#include <algorithm>

#include "base/counted.h"
#include "base/error.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr size_t kMostStrings = 256, kMostBytes = 4096;  // bound the work per byte of text and the text held back

void CheckStrings(const std::vector<std::string>& strings, const std::string& where) {
  const auto refuse = [&](std::string what, std::string found, std::string expected) {
    throw Error({.where = where, .what = std::move(what), .found = std::move(found), .expected = std::move(expected)});
  };
  if (strings.size() > kMostStrings) {
    refuse("too many stop strings", std::to_string(strings.size()), "at most " + std::to_string(kMostStrings));
  }
  for (const std::string& s : strings) {
    if (s.empty()) refuse("a stop string is empty", "\"\"", "at least one character");
    if (s.size() > kMostBytes) {
      refuse("a stop string is too long", Counted(s.size(), "byte"), "at most " + std::to_string(kMostBytes));
    }
    if (utf8::FirstInvalid(s) != utf8::kValid) refuse("a stop string is not UTF-8", Quoted(s), "UTF-8 text");
  }
}

std::vector<uint32_t> BordersOf(const std::string& s) {
  std::vector<uint32_t> border(s.size() + 1, 0);
  uint32_t k = 0;
  for (size_t i = 1; i < s.size(); ++i) {
    while (k > 0 && s[i] != s[k]) k = border[k];
    if (s[i] == s[k]) ++k;
    border[i + 1] = k;
  }
  return border;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings, const std::string& where) {
  CheckStrings(strings, where);
  matched_.assign(strings.size(), 0);
  std::vector<std::vector<uint32_t>> borders;
  for (const std::string& s : strings) borders.push_back(BordersOf(s));
  patterns_ = std::make_shared<const Patterns>(Patterns{std::move(strings), std::move(borders)});
}

std::optional<size_t> StopStrings::Add(std::string_view text, std::string& out) {
  const auto& [strings, borders] = *patterns_;
  for (const char byte : text) {
    held_ += byte;
    std::optional<size_t> found;
    for (size_t s = 0; s < strings.size(); ++s) {
      uint32_t& k = matched_[s];
      while (k > 0 && strings[s][k] != byte) k = borders[s][k];
      if (strings[s][k] == byte) ++k;
      if (k == strings[s].size() && (!found || k > strings[*found].size())) found = s;
    }
    if (found) {
      out.append(held_, 0, held_.size() - strings[*found].size());
      held_.clear();
      return found;
    }
  }
  const uint32_t hold = matched_.empty() ? 0 : *std::max_element(matched_.begin(), matched_.end());
  out.append(held_, 0, held_.size() - hold);
  held_.erase(0, held_.size() - hold);
  return std::nullopt;
}

void StopStrings::Finish(std::string& out) {
  out += held_;
  held_.clear();
  std::fill(matched_.begin(), matched_.end(), 0);
}

StoppedText::StoppedText(std::optional<Tokenizer> tokenizer, const StopSettings& settings, const std::string& where)
    : ids_(settings.ids), strings_(settings.strings, where + "stop") {
  if (tokenizer) {
    stream_.emplace(std::move(*tokenizer), ids_);
  } else if (!settings.strings.empty()) {
    throw Error({.where = where + "stop",
                 .what = "stop strings need a tokenizer, and the model has none",
                 .hint = "name stop ids instead"});
  }
}

void StoppedText::Pass(std::string_view text, std::string& out) {
  const std::optional<size_t> found = strings_.Add(text, out);
  if (found) cause_.string = strings_.strings()[*found];
}

std::string StoppedText::Add(int32_t id) {
  STABLELM_CHECK(!cause_.Found());
  std::string out;
  if (stream_) Pass(stream_->Add(id), out);
  if (std::find(ids_.begin(), ids_.end(), id) != ids_.end()) cause_.id = id;
  return out;
}

std::string StoppedText::Finish() {
  std::string out;
  if (!stream_ || cause_.string) return out;
  // Incomplete characters become U+FFFD now, which a stop string may contain.
  Pass(stream_->Finish(), out);
  if (!cause_.string) strings_.Finish(out);
  return out;
}

}  // namespace stablelm
