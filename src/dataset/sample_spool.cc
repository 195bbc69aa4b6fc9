#include "dataset/sample_spool.h"

#include <algorithm>

#include "base/error.h"
#include "dataset/token_bytes.h"

namespace stablelm {
namespace {
constexpr size_t kBufferBytes = size_t{1} << 20;
}  // namespace

SampleSpool::SampleSpool(const SpillOptions& spill, size_t id_bytes)
    : file_(spill.target), records_(spill), id_bytes_(id_bytes) {}

uint32_t SampleSpool::Add(const Sample& sample, const SampleOrigin& origin) {
  const size_t n = sample.ids.size();
  STABLELM_CHECK(n == sample.targets.size());
  if (records_.size() == kMostSamples) {
    throw Error({.where = "samples",
                 .what = "more than a preparation can hold",
                 .expected = "at most " + std::to_string(kMostSamples),
                 .hint = "prepare the sources in several folders"});
  }
  const auto number = static_cast<uint32_t>(records_.size());
  const Record record{.offset = file_.size() + buffer_.size(),
                      .origin = origin,
                      .length = static_cast<uint32_t>(n),
                      .targets = static_cast<uint32_t>(std::count(sample.targets.begin(), sample.targets.end(), 1))};
  records_.Append({&record, 1});
  const size_t at = buffer_.size();
  buffer_.resize(at + n * id_bytes_ + (n + 7) / 8);
  PutIds(sample.ids, id_bytes_, buffer_.data() + at);
  PutBits(sample.targets, 0, buffer_.data() + at + n * id_bytes_);
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
  GetIds(at, id_bytes_, ids_);
  GetBits(at + n * id_bytes_, 0, bits_);
  return {.ids = ids_, .targets = bits_};
}

}  // namespace stablelm
