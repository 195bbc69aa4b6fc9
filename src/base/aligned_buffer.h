// An array of trivial elements, aligned to 64 bytes. From 4 MiB on: aligned to 2 MiB, with huge pages requested.
// Owns its memory; movable. Elements are uninitialised.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace stablelm {

// Throws Error ("out of memory", with the number of bytes and `what`) when the system refuses.
void* AllocateAligned(size_t bytes, const char* what);
void FreeAligned(void* p, size_t bytes);
// Call right after AllocateAligned, to measure without huge pages: the kernel then uses pages of the smallest size.
void RefuseHugePages(void* p, size_t bytes);

template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  AlignedBuffer() = default;
  // `what` names the buffer in the error message.
  AlignedBuffer(size_t n, const char* what) : data_(static_cast<T*>(AllocateAligned(n * sizeof(T), what))), size_(n) {}
  AlignedBuffer(AlignedBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    return *this;
  }
  ~AlignedBuffer() { FreeAligned(data_, size_ * sizeof(T)); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace stablelm
