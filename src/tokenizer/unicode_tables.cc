#include "tokenizer/unicode_tables.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace stablelm {
namespace {

// Hangul syllables are composed arithmetically (Unicode 3.12).
constexpr char32_t kLBase = 0x1100, kVBase = 0x1161, kTBase = 0x11A7, kSBase = 0xAC00;
constexpr char32_t kLCount = 19, kVCount = 21, kTCount = 28, kSCount = kLCount * kVCount * kTCount;

bool IsHangulSyllable(char32_t c) { return c >= kSBase && c < kSBase + kSCount; }

const utf8proc_property_t& Property(char32_t c) { return *utf8proc_get_property(static_cast<utf8proc_int32_t>(c)); }

bool HasCanonicalDecomposition(const utf8proc_property_t& p) {
  return p.decomp_seqindex != UINT16_MAX && p.decomp_type == 0;
}

UnicodeTables::Class Classify(char32_t c, const utf8proc_property_t& p) {
  if (UnicodeTables::IsSpace(c)) return UnicodeTables::kSpace;
  if (p.category >= UTF8PROC_CATEGORY_LU && p.category <= UTF8PROC_CATEGORY_LO) return UnicodeTables::kLetter;
  if (p.category >= UTF8PROC_CATEGORY_ND && p.category <= UTF8PROC_CATEGORY_NO) return UnicodeTables::kNumber;
  return UnicodeTables::kOther;
}

// Whether NFC leaves c unchanged: false for singletons and composition exclusions.
bool ComposesBack(char32_t c, const std::vector<char32_t>& decomposition) {
  std::array<utf8proc_int32_t, 16> buffer{};
  std::transform(decomposition.begin(), decomposition.end(), buffer.begin(),
                 [](char32_t d) { return static_cast<utf8proc_int32_t>(d); });
  const utf8proc_ssize_t n =
      utf8proc_normalize_utf32(buffer.data(), static_cast<utf8proc_ssize_t>(decomposition.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  return n == 1 && buffer[0] == static_cast<utf8proc_int32_t>(c);
}

uint64_t PairKey(char32_t first, char32_t second) { return uint64_t{first} << 32 | second; }

}  // namespace

std::string UnicodeVersion() { return utf8proc_unicode_version(); }

UnicodeTables::UnicodeTables() : entries_(kTableSize) {
  std::vector<char32_t> decomposable;
  for (char32_t c = 0; c < kTableSize; ++c) {
    const utf8proc_property_t& p = Property(c);
    entries_[c] = Classify(c, p);
    if (p.combining_class != 0) entries_[c] |= kNfcBit;
    if (!IsHangulSyllable(c) && HasCanonicalDecomposition(p)) decomposable.push_back(c);
  }

  // Primary composites (Unicode 3.11, D114). utf8proc gives full decompositions d1 ... dn. The mapping in the Unicode
  // data is (composite of d1 ... dn-1, dn), because only the first code point of a mapping decomposes further. So find
  // the composites in order of n.
  std::vector<std::pair<size_t, char32_t>> by_length;
  std::vector<char32_t> full;
  size_t longest = 0;
  for (const char32_t c : decomposable) {
    full.clear();
    Decompose(c, full);
    by_length.emplace_back(full.size(), c);
    longest = std::max(longest, full.size());
  }
  for (size_t n = 2; n <= longest; ++n) {
    std::vector<std::pair<uint64_t, char32_t>> found;
    for (const auto& [length, c] : by_length) {
      if (length != n) continue;
      full.clear();
      Decompose(c, full);
      if (!ComposesBack(c, full)) continue;
      char32_t first = full.front();
      for (size_t i = 1; i + 1 < n && first != 0; ++i) first = Compose(first, full[i]);
      if (first != 0) found.emplace_back(PairKey(first, full.back()), c);
    }
    composites_.insert(composites_.end(), found.begin(), found.end());
    std::sort(composites_.begin(), composites_.end());
  }

  // NFC quick check "no": decomposes and does not compose back. "Maybe": the second code point of a pair that composes.
  std::vector<bool> is_composite(kTableSize);
  for (const auto& [key, composite] : composites_) {
    is_composite[composite] = true;
    entries_[key & 0xFFFFFFFFu] |= kNfcBit;
  }
  for (const char32_t c : decomposable) {
    if (!is_composite[c]) entries_[c] |= kNfcBit;
  }
  for (char32_t c = kVBase; c < kVBase + kVCount; ++c) entries_[c] |= kNfcBit;
  for (char32_t c = kTBase + 1; c < kTBase + kTCount; ++c) entries_[c] |= kNfcBit;
}

uint8_t UnicodeTables::CombiningClass(char32_t c) { return static_cast<uint8_t>(Property(c).combining_class); }

void UnicodeTables::Decompose(char32_t c, std::vector<char32_t>& out) {
  if (!IsHangulSyllable(c) && !HasCanonicalDecomposition(Property(c))) {
    out.push_back(c);
    return;
  }
  // The longest canonical decomposition has 4 code points; utf8proc returns the required length.
  std::array<utf8proc_int32_t, 16> buffer{};
  int boundary_state = 0;
  const utf8proc_ssize_t n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), buffer.data(), buffer.size(),
                                                     UTF8PROC_DECOMPOSE, &boundary_state);
  STABLELM_CHECK(n > 0 && static_cast<size_t>(n) <= buffer.size());
  for (utf8proc_ssize_t i = 0; i < n; ++i) out.push_back(static_cast<char32_t>(buffer[static_cast<size_t>(i)]));
}

char32_t UnicodeTables::Compose(char32_t first, char32_t second) const {
  if (first >= kLBase && first < kLBase + kLCount && second >= kVBase && second < kVBase + kVCount) {
    return kSBase + ((first - kLBase) * kVCount + (second - kVBase)) * kTCount;
  }
  if (IsHangulSyllable(first) && (first - kSBase) % kTCount == 0 && second > kTBase && second < kTBase + kTCount) {
    return first + (second - kTBase);
  }
  const uint64_t key = PairKey(first, second);
  const auto at = std::lower_bound(composites_.begin(), composites_.end(), key,
                                   [](const auto& entry, uint64_t k) { return entry.first < k; });
  return at != composites_.end() && at->first == key ? at->second : 0;
}

bool UnicodeTables::IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool UnicodeTables::IsWord(char32_t c) {
  const auto category = Property(c).category;
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) return true;  // L*, M*, Nd, Nl
  if (category == UTF8PROC_CATEGORY_PC || c == 0x200C || c == 0x200D) return true;
  // Alphabetic symbols: circled, squared and parenthesised Latin letters.
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

}  // namespace stablelm
