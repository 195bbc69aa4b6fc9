// Replaces operator new, to count calls by all threads. For one file of a program of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace stablelm {
inline std::atomic<int64_t> allocations{0};
}

// Not inlined: otherwise g++ warns about mismatched new and free.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++stablelm::allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++stablelm::allocations;
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
