#include "dataset/read/byte_window.h"

#include <cstring>
#include <utility>

#include "dataset/read/row_reader.h"

namespace stablelm {
namespace {

constexpr size_t kFirstCapacity = size_t{1} << 19;
constexpr size_t kLeastRead = size_t{1} << 17;

}  // namespace

ByteWindow::ByteWindow(std::unique_ptr<ByteSource> source)
    : source_(std::move(source)), buffer_(new char[kFirstCapacity + kRowPadding]), capacity_(kFirstCapacity) {}

bool ByteWindow::Fill() {
  const size_t have = end_ - begin_;
  if (capacity_ - have < kLeastRead) {
    const size_t capacity = capacity_ * 2;
    std::unique_ptr<char[]> larger(new char[capacity + kRowPadding]);
    std::memcpy(larger.get(), buffer_.get() + begin_, have);
    buffer_ = std::move(larger);
    capacity_ = capacity;
    begin_ = 0;
  } else if (capacity_ - end_ < kLeastRead) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, have);
    begin_ = 0;
  }
  end_ = begin_ + have;
  const size_t n = source_->Read(buffer_.get() + end_, capacity_ - end_);
  end_ += n;
  std::memset(buffer_.get() + end_, 0, kRowPadding);
  return n > 0;
}

bool ByteWindow::FillTo(size_t bytes) {
  while (text().size() < bytes) {
    if (!Fill()) return false;
  }
  return true;
}

void ByteWindow::Skip(size_t bytes) {
  line_ += CountLines(text().substr(0, bytes));
  begin_ += bytes;
}

uint64_t CountLines(std::string_view text) {
  uint64_t lines = 0;
  size_t at = 0;
  while ((at = text.find('\n', at)) != std::string_view::npos) {
    ++lines;
    ++at;
  }
  return lines;
}

}  // namespace stablelm
