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

void* SpillFile::MapZeros(uint64_t size) {
  STABLELM_CHECK(size_ == 0 && size > 0);
  int error = 0;
  do error = posix_fallocate(fd(), 0, static_cast<off_t>(size));
  while (error == EINTR);
  if (error != 0) FailToWrite(path(), "cannot write the temporary file", error);
  void* const map = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0);
  if (map == MAP_FAILED) FailToWrite(path(), "cannot map the temporary file", errno);
  size_ = size;
  map_ = map;
  return map;
}

SpillFile::~SpillFile() {
  if (map_ != nullptr) munmap(map_, size_);
}

}  // namespace stablelm
