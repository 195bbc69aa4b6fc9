// Finds rows that are equal to an earlier one, for any number of rows in bounded memory.
#pragma once

#include <compare>
#include <cstdint>

#include "base/function_ref.h"
#include "dataset/clean/hashes.h"
#include "dataset/clean/spill.h"

namespace stablelm {

// For one thread at a time. Past the budget the keys go to a sorted temporary file: 24 bytes a row.
class ExactDuplicates {
 public:
  explicit ExactDuplicates(SpillOptions options) : records_(std::move(options)) {}

  // `position`: of the row, in the order in which the first of equals is kept; any numbers, each once.
  void Add(const ContentKey& key, uint64_t position) { records_.Add({key, position}); }
  // Calls found(duplicate, first) for each row that has the key of one of a smaller position; `first` is the smallest.
  // The order of the calls is that of the keys: it depends on neither the budget nor the order of Add. Once, at the
  // end.
  void Find(FunctionRef<void(uint64_t duplicate, uint64_t first)> found);
  uint64_t spilled_bytes() const { return records_.spilled_bytes(); }

 private:
  struct Record {
    ContentKey key;
    uint64_t position = 0;
    auto operator<=>(const Record&) const = default;
  };
  SortedRecords<Record> records_;
};

}  // namespace stablelm
