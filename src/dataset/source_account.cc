#include "dataset/source_account.h"

#include <algorithm>

namespace stablelm {

void SourceAccount::Drop(const std::string& reason, const std::string& place, const std::string& words) {
  uint64_t& count = dropped[reason];
  if (count++ < kMostExamples) examples.push_back({.place = place, .reason = reason, .words = words});
}

}  // namespace stablelm
