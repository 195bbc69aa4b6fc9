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

void SampleBytes::Add(const Sample& sample, size_t id_bytes) {
  const size_t n = sample.ids.size();
  STABLELM_CHECK(n == sample.targets.size());
  sizes.push_back({.length = static_cast<uint32_t>(n),
                   .targets = static_cast<uint32_t>(std::count(sample.targets.begin(), sample.targets.end(), 1))});
  const size_t at = bytes.size();
  bytes.resize(at + BytesOf(n, id_bytes));
  PutIds(sample.ids, id_bytes, bytes.data() + at);
  PutBits(sample.targets, 0, bytes.data() + at + n * id_bytes);
}

void SampleSpool::Add(const SampleBytes& samples, SampleOrigin origin) {
  if (samples.sizes.size() > kMostSamples - records_.size()) {
    throw Error({.where = "samples",
                 .what = "more than a preparation can hold",
                 .expected = "at most " + std::to_string(kMostSamples),
                 .hint = "prepare the sources in several folders"});
  }
  uint64_t offset = file_.size() + buffer_.size();
  for (const SampleBytes::Size& size : samples.sizes) {
    const Record record{.offset = offset, .origin = origin, .length = size.length, .targets = size.targets};
    records_.Append(record);
    ++origin.piece;
    offset += SampleBytes::BytesOf(size.length, id_bytes_);
  }
  STABLELM_CHECK(offset - file_.size() - buffer_.size() == samples.bytes.size());
  if (buffer_.size() + samples.bytes.size() > kBufferBytes) Flush();
  if (samples.bytes.size() > kBufferBytes) {
    file_.Append(samples.bytes.data(), samples.bytes.size());
  } else {
    buffer_.insert(buffer_.end(), samples.bytes.begin(), samples.bytes.end());
  }
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
  STABLELM_CHECK(record.offset + SampleBytes::BytesOf(n, id_bytes_) <= map_.size());
  const std::byte* at = map_.bytes().data() + record.offset;
  ids_.resize(n);
  bits_.resize(n);
  GetIds(at, id_bytes_, ids_);
  GetBits(at + n * id_bytes_, 0, bits_);
  return {.ids = ids_, .targets = bits_};
}

}  // namespace stablelm
