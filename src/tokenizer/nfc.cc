#include "tokenizer/nfc.h"

#include <algorithm>
#include <cstdint>

#include "base/utf8.h"
#include "tokenizer/utf8_unchecked.h"

namespace stablelm {
namespace {

// The first code point that NFC may change is U+0300 (CC 80), so lead bytes below CC need no check.
constexpr uint8_t kFirstLead = 0xCC;

// Byte offset of the first code point at or after `from` that NFC may change; text.size() if there is none. Sets
// *last_start to the start of the code point before it (`from` if it is the first).
size_t FindChangeable(const UnicodeTables& tables, std::string_view text, size_t from, size_t* last_start) {
  size_t previous = from;
  for (size_t i = from; i < text.size();) {
    size_t bytes = 1;
    if (static_cast<uint8_t>(text[i]) >= 0x80 && tables.NfcMayChange(DecodeValidUtf8(text.data() + i, &bytes))) {
      *last_start = previous;
      return i;
    }
    previous = i;
    i += bytes;
  }
  return text.size();
}

struct Mark {
  uint8_t combining_class;
  char32_t code_point;
};

// Canonical decomposition, reordering and composition of one cluster.
class ClusterNormalizer {
 public:
  explicit ClusterNormalizer(const UnicodeTables& tables) : tables_(tables) {}

  void AppendTo(std::string& out, std::string_view cluster) {
    code_points_.clear();
    for (size_t i = 0; i < cluster.size();) {
      size_t bytes;
      UnicodeTables::Decompose(DecodeValidUtf8(cluster.data() + i, &bytes), code_points_);
      i += bytes;
    }
    Order();
    Compose();
    for (const Mark& m : marks_) utf8::Append(m.code_point, out);
  }

 private:
  // Canonical ordering (Unicode D109): stable sort of each maximal run of non-starters by combining class.
  void Order() {
    marks_.clear();
    size_t run = 0;  // start of the current run of non-starters
    const auto sort_run = [&] {
      std::stable_sort(marks_.begin() + static_cast<ptrdiff_t>(run), marks_.end(),
                       [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
    };
    for (const char32_t c : code_points_) {
      const uint8_t combining_class = UnicodeTables::CombiningClass(c);
      if (combining_class == 0) {
        sort_run();
        marks_.push_back({0, c});
        run = marks_.size();
      } else {
        marks_.push_back({combining_class, c});
      }
    }
    sort_run();
  }

  // Canonical composition (Unicode D117): a code point composes with the last starter unless it is blocked by a code
  // point between them of the same or a higher combining class, or by a starter.
  void Compose() {
    constexpr size_t kNone = static_cast<size_t>(-1);
    size_t starter = kNone;
    size_t kept = 0;
    for (size_t i = 0; i < marks_.size(); ++i) {
      const Mark mark = marks_[i];
      if (starter != kNone) {
        const bool adjacent = kept == starter + 1;
        const bool blocked = !adjacent && (marks_[kept - 1].combining_class >= mark.combining_class);
        if (!blocked) {
          const char32_t composite = tables_.Compose(marks_[starter].code_point, mark.code_point);
          if (composite != 0) {
            marks_[starter].code_point = composite;
            continue;
          }
        }
      }
      if (mark.combining_class == 0) starter = kept;
      marks_[kept++] = mark;
    }
    marks_.resize(kept);
  }

  const UnicodeTables& tables_;
  std::vector<char32_t> code_points_;
  std::vector<Mark> marks_;
};

}  // namespace

bool MayNeedNfc(const UnicodeTables& tables, std::string_view text) {
  uint8_t highest = 0;
  for (const char c : text) highest = std::max(highest, static_cast<uint8_t>(c));
  if (highest < kFirstLead) return false;
  size_t last_start;
  return FindChangeable(tables, text, 0, &last_start) != text.size();
}

void NormalizeNfc(const UnicodeTables& tables, std::string_view text, std::string& out, std::vector<NfcEdit>& edits) {
  out.clear();
  edits.clear();
  out.reserve(text.size());
  ClusterNormalizer normalizer(tables);
  size_t done = 0;  // text before this offset is already in `out`
  while (done < text.size()) {
    // The cluster begins one code point before the first that may change. That code point cannot change, so it is a
    // normalization boundary.
    size_t begin = done;
    size_t end = FindChangeable(tables, text, done, &begin);
    if (end == text.size()) break;
    while (end < text.size()) {
      size_t bytes;
      if (!tables.NfcMayChange(DecodeValidUtf8(text.data() + end, &bytes))) break;
      end += bytes;
    }
    out.append(text.substr(done, begin - done));
    const std::string_view cluster = text.substr(begin, end - begin);
    const size_t at = out.size();
    normalizer.AppendTo(out, cluster);
    if (std::string_view(out).substr(at) != cluster) edits.push_back({at, out.size(), begin, end});
    done = end;
  }
  out.append(text.substr(done));
}

}  // namespace stablelm
