#include "dataset/sample_spool.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/write_error.h"

namespace stablelm {
namespace {
constexpr size_t kBufferBytes = size_t{1} << 20;
}  // namespace

SampleSpool::SampleSpool(const std::filesystem::path& target, size_t id_bytes)
    : target_(target), file_(target, TemporaryPath::Kind::kFile), id_bytes_(id_bytes) {}

uint32_t SampleSpool::Add(const Sample& sample, const SampleOrigin& origin) {
  const size_t n = sample.ids.size();
  STABLELM_CHECK(n == sample.targets.size() && lengths_.size() < ~uint32_t{0});
  const auto number = static_cast<uint32_t>(lengths_.size());
  offsets_.push_back(written_ + buffer_.size());
  lengths_.push_back(static_cast<uint32_t>(n));
  targets_.push_back(static_cast<uint32_t>(std::count(sample.targets.begin(), sample.targets.end(), 1)));
  origins_.push_back(origin);
  for (const int32_t id : sample.ids) {
    for (size_t byte = 0; byte < id_bytes_; ++byte) {
      buffer_.push_back(static_cast<std::byte>(static_cast<uint32_t>(id) >> (8 * byte)));
    }
  }
  const size_t bits = buffer_.size();
  buffer_.resize(bits + (n + 7) / 8);
  for (size_t i = 0; i < n; ++i) {
    if (sample.targets[i] != 0) buffer_[bits + i / 8] |= static_cast<std::byte>(1 << (i % 8));
  }
  if (buffer_.size() >= kBufferBytes) Flush();
  return number;
}

void SampleSpool::Flush() {
  for (size_t at = 0; at < buffer_.size();) {
    const ssize_t n = write(file_.fd(), buffer_.data() + at, buffer_.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailToWrite(target_, "cannot write a temporary file beside it", errno);
    at += static_cast<size_t>(n);
  }
  written_ += buffer_.size();
  buffer_.clear();
}

SampleTokens SampleSpool::Read(uint32_t sample) {
  if (map_.size() == 0) {
    Flush();
    map_ = MappedFile(file_.path());
  }
  const size_t n = lengths_[sample];
  STABLELM_CHECK(offsets_[sample] + n * id_bytes_ + (n + 7) / 8 <= map_.size());
  const std::byte* at = map_.bytes().data() + offsets_[sample];
  ids_.resize(n);
  bits_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    uint32_t id = 0;
    for (size_t byte = 0; byte < id_bytes_; ++byte) id |= std::to_integer<uint32_t>(*at++) << (8 * byte);
    ids_[i] = static_cast<int32_t>(id);
  }
  for (size_t i = 0; i < n; ++i) bits_[i] = (std::to_integer<unsigned>(at[i / 8]) >> (i % 8)) & 1;
  return {.ids = ids_, .targets = bits_};
}

}  // namespace stablelm
