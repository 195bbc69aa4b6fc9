#include "dataset/clean/spill.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/write_error.h"

namespace stablelm {

SpillFile::SpillFile(const std::filesystem::path& target) {
  STABLELM_CHECK(target.has_filename());
  path_ = TemporaryPath(target, TemporaryPath::Kind::kFile);
}

void SpillFile::Append(const void* bytes, size_t size) {
  const char* from = static_cast<const char*>(bytes);
  for (size_t done = 0; done < size;) {
    const ssize_t n = pwrite(fd(), from + done, size - done, static_cast<off_t>(size_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) FailToWrite(path(), "cannot write the temporary file", n < 0 ? errno : ENOSPC);
    done += static_cast<size_t>(n);
  }
  size_ += size;
}

void SpillFile::Read(uint64_t offset, void* bytes, size_t size) const {
  char* to = static_cast<char*>(bytes);
  for (size_t done = 0; done < size;) {
    const ssize_t n = pread(fd(), to + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) FailToWrite(path(), "cannot read the temporary file", n < 0 ? errno : EIO);
    done += static_cast<size_t>(n);
  }
}

void SpillFile::Reserve(uint64_t size) {
  int error = 0;
  do error = posix_fallocate(fd(), 0, static_cast<off_t>(size));
  while (error == EINTR);
  if (error != 0) FailToWrite(path(), "cannot write the temporary file", error);
  size_ = size;
}

ScratchNumbers::ScratchNumbers(uint64_t count, const SpillOptions& options) {
  const uint64_t bytes = count * sizeof(uint32_t);
  if (bytes <= options.memory_bytes || count == 0) {
    memory_.resize(static_cast<size_t>(count));
    numbers_ = memory_.data();
    return;
  }
  file_.emplace(options.target);
  file_->Reserve(bytes);
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_->fd(), 0);
  if (map == MAP_FAILED) FailToWrite(file_->path(), "cannot map the temporary file", errno);
  numbers_ = static_cast<uint32_t*>(map);
}

ScratchNumbers::~ScratchNumbers() {
  if (file_) munmap(numbers_, file_->size());
}

}  // namespace stablelm
