#include "dataset/sample_spool.h"

#include <algorithm>

#include "base/error.h"

namespace stablelm {
namespace {
constexpr size_t kBufferBytes = size_t{1} << 20;
}  // namespace

SampleSpool::SampleSpool(const SpillOptions& spill, size_t id_bytes)
    : file_(spill.target), records_(spill), id_bytes_(id_bytes) {}

uint32_t SampleSpool::Add(const Sample& sample, const SampleOrigin& origin) {
  const size_t n = sample.ids.size();
  STABLELM_CHECK(n == sample.targets.size() && records_.size() < ~uint32_t{0});
  const auto number = static_cast<uint32_t>(records_.size());
  const Record record{.offset = file_.size() + buffer_.size(),
                      .origin = origin,
                      .length = static_cast<uint32_t>(n),
                      .targets = static_cast<uint32_t>(std::count(sample.targets.begin(), sample.targets.end(), 1))};
  records_.Append({&record, 1});
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
  file_.Append(buffer_.data(), buffer_.size());
  buffer_.clear();
}

SampleTokens SampleSpool::Read(uint32_t sample) {
  if (map_.size() == 0) {
    Flush();
    map_ = MappedFile(file_.path());
  }
  const Record& record = Records()[sample];
  const size_t n = record.length;
  STABLELM_CHECK(record.offset + n * id_bytes_ + (n + 7) / 8 <= map_.size());
  const std::byte* at = map_.bytes().data() + record.offset;
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
