#include "dataset/clean/code_ranges.h"

#include <algorithm>
#include <unordered_map>

namespace stablelm {
namespace {

struct Fence {
  char mark = 0;
  size_t length = 0;  // 0: the line opens no fence
};

Fence OpeningFence(std::string_view line) {
  const size_t at = line.find_first_not_of(" \t");
  if (at == std::string_view::npos || (line[at] != '`' && line[at] != '~')) return {};
  const char mark = line[at];
  size_t end = line.find_first_not_of(mark, at);
  if (end == std::string_view::npos) end = line.size();
  if (end - at < 3) return {};
  if (mark == '`' && line.find('`', end) != std::string_view::npos) return {};
  return {mark, end - at};
}

bool Closes(std::string_view line, const Fence& fence) {
  const size_t at = line.find_first_not_of(" \t");
  if (at == std::string_view::npos || line[at] != fence.mark) return false;
  size_t end = line.find_first_not_of(fence.mark, at);
  if (end == std::string_view::npos) end = line.size();
  return end - at >= fence.length && line.find_first_not_of(" \t\r", end) == std::string_view::npos;
}

// Code spans of one paragraph, which begins at `offset` of the text.
void AddSpans(std::string_view paragraph, size_t offset, std::vector<TextRange>& ranges) {
  if (paragraph.find('`') == std::string_view::npos) return;
  std::vector<TextRange> runs;
  for (size_t at = paragraph.find('`'); at != std::string_view::npos;) {
    size_t end = paragraph.find_first_not_of('`', at);
    if (end == std::string_view::npos) end = paragraph.size();
    runs.push_back({at, end});
    at = paragraph.find('`', end);
  }
  std::vector<size_t> next(runs.size(), runs.size());  // the next run of the same length
  std::unordered_map<size_t, size_t> last;
  for (size_t i = runs.size(); i-- > 0;) {
    const auto [found, added] = last.try_emplace(runs[i].end - runs[i].begin, i);
    if (!added) {
      next[i] = found->second;
      found->second = i;
    }
  }
  for (size_t i = 0; i < runs.size();) {
    if (next[i] == runs.size()) {
      ++i;
      continue;
    }
    ranges.push_back({offset + runs[i].begin, offset + runs[next[i]].end});
    i = next[i] + 1;
  }
}

}  // namespace

std::vector<TextRange> CodeRanges(std::string_view text) {
  std::vector<TextRange> ranges;
  Fence open;
  size_t block = 0;      // where the open fence begins
  size_t paragraph = 0;  // where the paragraph begins
  const auto end_paragraph = [&](size_t end) { AddSpans(text.substr(paragraph, end - paragraph), paragraph, ranges); };
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const size_t next = std::min(end + 1, text.size());
    if (open.length > 0) {
      if (Closes(line, open)) {
        ranges.push_back({block, end});
        open = {};
        paragraph = next;
      }
    } else if (open = OpeningFence(line); open.length > 0) {
      end_paragraph(at);
      block = at;
    } else if (line.find_first_not_of(" \t\r") == std::string_view::npos) {
      end_paragraph(at);
      paragraph = next;
    }
    at = next;
  }
  if (open.length > 0) {
    ranges.push_back({block, text.size()});
  } else {
    end_paragraph(text.size());
  }
  return ranges;
}

std::string WithoutCode(std::string_view text) {
  std::string prose;
  size_t at = 0;
  for (const TextRange& code : CodeRanges(text)) {
    prose += text.substr(at, code.begin - at);
    at = code.end;
  }
  return prose += text.substr(at);
}

}  // namespace stablelm
