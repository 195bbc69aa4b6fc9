#include "base/nearest.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace stablelm {

size_t EditDistance(std::string_view a, std::string_view b) {
  // Three rows of the table: two rows back for swaps of neighbours.
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string NearestName(std::string_view typed, std::span<const std::string> known) {
  typed = typed.substr(0, 64);  // longer text is not a typing error; bounds the work
  std::string best;
  size_t best_edits = 0;
  for (const std::string& name : known) {
    // A name that starts with the typed text is nearer than any typing error ("--max-new" for "--max-new-tokens"), the
    // shortest of them first.
    const bool continues = typed.size() >= 3 && name.starts_with(typed);
    const size_t edits = continues ? 0 : EditDistance(typed, name);
    if (best.empty() || edits < best_edits || (continues && best_edits == 0 && name.size() < best.size())) {
      best = name;
      best_edits = edits;
    }
  }
  const size_t near_enough = std::max<size_t>(1, std::min(typed.size(), best.size()) / 3);
  return best_edits <= near_enough ? best : std::string();
}

std::string DidYouMean(std::string_view typed, std::span<const std::string> known, std::string_view otherwise) {
  const std::string nearest = NearestName(typed, known);
  return nearest.empty() ? std::string(otherwise) : "did you mean " + nearest + "?";
}

std::string DidYouMeanKey(std::string_view typed, std::span<const std::string> known) {
  const std::string nearest = NearestName(typed, known);
  return nearest.empty() ? std::string() : "did you mean " + Quoted(nearest) + "?";
}

}  // namespace stablelm
