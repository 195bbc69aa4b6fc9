#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>

#include "base/error_kinds.h"
#include "base/system.h"

namespace stablelm {
namespace {
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kLarge = 2 * kHugePage;
}  // namespace

void* AllocateAligned(size_t bytes, const char* what) {
  if (bytes == 0) return nullptr;
  const size_t alignment = bytes >= kLarge ? kHugePage : 64;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = rounded >= bytes ? std::aligned_alloc(alignment, rounded) : nullptr;
  if (!p) {
    throw OutOfMemory(
        {.where = what,
         .what = "out of memory: cannot allocate " + HumanBytes(bytes),
         .hint = "`stablelm fit` tells what a model needs; a shorter context or a smaller batch needs less"});
  }
  if (bytes >= kLarge) {
    // The last huge page would take 2 MiB for whatever is in it, more than plans count.
    const size_t whole = bytes / kHugePage * kHugePage;
    madvise(p, whole, MADV_HUGEPAGE);
    if (whole < rounded) madvise(static_cast<std::byte*>(p) + whole, rounded - whole, MADV_NOHUGEPAGE);
  }
  return p;
}

void FreeAligned(void* p, size_t) { std::free(p); }

void RefuseHugePages(void* p, size_t bytes) {
  if (bytes >= kLarge) madvise(p, bytes, MADV_NOHUGEPAGE);  // smaller buffers never have huge pages
}

}  // namespace stablelm
