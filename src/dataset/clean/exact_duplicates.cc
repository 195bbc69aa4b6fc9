#include "dataset/clean/exact_duplicates.h"

#include <optional>

namespace stablelm {

void ExactDuplicates::Find(FunctionRef<void(uint64_t duplicate, uint64_t first)> found) {
  std::optional<Record> first;
  records_.ForEach([&](const Record& record) {
    if (first && first->key == record.key) {
      found(record.position, first->position);
    } else {
      first = record;
    }
  });
}

}  // namespace stablelm
