// Decompressed, of byte_source.h.
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "dataset/read/byte_source.h"

namespace stablelm {
namespace {

constexpr size_t kPiece = size_t{1} << 17;
constexpr int kMostWindowLog = 27;  // of zstd: 128 MB, the most that its own program takes without a flag

// The bytes of a file that were read but not used yet.
struct Input {
  explicit Input(std::unique_ptr<ByteSource> from) : source(std::move(from)), buffer(kPiece) {}

  // True if there are unused bytes, after reading more when there were none.
  bool Have() {
    if (begin == end) {
      begin = 0;
      end = source->Read(buffer.data(), buffer.size());
    }
    return begin < end;
  }
  std::string_view text() const { return {buffer.data() + begin, end - begin}; }
  uint64_t offset() const { return source->consumed() - (end - begin); }

  std::unique_ptr<ByteSource> source;
  std::vector<char> buffer;
  size_t begin = 0, end = 0;
};

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(Input input) : input_(std::move(input)) {}

  size_t Read(char* into, size_t bytes) override {
    const size_t n = std::min(bytes, input_.end - input_.begin);
    if (n == 0) return input_.source->Read(into, bytes);
    std::memcpy(into, input_.buffer.data() + input_.begin, n);
    input_.begin += n;
    return n;
  }
  uint64_t consumed() const override { return input_.offset(); }

 private:
  Input input_;
};

class GzipSource final : public ByteSource {
 public:
  GzipSource(Input input, std::string where) : input_(std::move(input)), where_(std::move(where)) {
    STABLELM_CHECK(inflateInit2(&stream_, 15 + 16) == Z_OK);  // 32 KB window; 16: the container is gzip
  }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;
  ~GzipSource() override { inflateEnd(&stream_); }

  size_t Read(char* into, size_t bytes) override {
    bytes = std::min(bytes, size_t{1} << 30);  // zlib counts in 32 bits
    stream_.next_out = reinterpret_cast<Bytef*>(into);
    stream_.avail_out = static_cast<uInt>(bytes);
    while (stream_.avail_out == bytes) {
      if (damaged_) Fail("the compressed data is damaged");
      if (!input_.Have()) {
        if (!in_member_) return 0;
        Fail("the file ends inside the compressed data");
      }
      if (!in_member_) {
        if (SkipPadding()) continue;
        if (input_.text()[0] != '\x1F') Fail("there is something else after the compressed data");
        in_member_ = true;
        STABLELM_CHECK(inflateReset(&stream_) == Z_OK);
      }
      const std::string_view in = input_.text();
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
      stream_.avail_in = static_cast<uInt>(in.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      input_.begin = input_.end - stream_.avail_in;
      if (code == Z_STREAM_END) {
        in_member_ = false;
      } else {
        damaged_ = code != Z_OK && code != Z_BUF_ERROR;
      }
    }
    return bytes - stream_.avail_out;
  }
  uint64_t consumed() const override { return input_.offset(); }

 private:
  // Zeros after a member, as tapes and tar leave them, are no data. True if there were any.
  bool SkipPadding() {
    const size_t begin = input_.begin;
    while (input_.begin < input_.end && input_.buffer[input_.begin] == '\0') ++input_.begin;
    return input_.begin > begin;
  }
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error({.where = where_ + ": byte " + std::to_string(input_.offset()),
                 .what = "gzip: " + what,
                 .hint = "get the file again; `gzip -t` checks it"});
  }

  Input input_;
  std::string where_;
  z_stream stream_ = {};
  bool in_member_ = false;
  bool damaged_ = false;  // behind the bytes that were delivered
};

class ZstdSource final : public ByteSource {
 public:
  ZstdSource(Input input, std::string where)
      : input_(std::move(input)), where_(std::move(where)), stream_(ZSTD_createDCtx()) {
    STABLELM_CHECK(stream_ && !ZSTD_isError(ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMostWindowLog)));
  }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;
  ~ZstdSource() override { ZSTD_freeDCtx(stream_); }

  size_t Read(char* into, size_t bytes) override {
    if (error_ != 0) Fail(error_);
    ZSTD_outBuffer out = {into, bytes, 0};
    while (out.pos == 0) {
      // What was decoded may still wait inside: input is needed only when a call gives nothing.
      const bool have = input_.Have();
      if (!have && !in_frame_) return 0;
      const std::string_view text = input_.text();
      ZSTD_inBuffer in = {text.data(), text.size(), 0};
      const size_t code = ZSTD_decompressStream(stream_, &out, &in);
      input_.begin += in.pos;
      if (ZSTD_isError(code)) {
        error_ = static_cast<int>(ZSTD_getErrorCode(code));
        if (out.pos == 0) Fail(error_);
        break;
      }
      in_frame_ = code != 0;
      if (!have && in_frame_ && out.pos == 0) FailAt("the file ends inside the compressed data");
    }
    return out.pos;
  }
  uint64_t consumed() const override { return input_.offset(); }

 private:
  [[noreturn]] void FailAt(const std::string& what, const std::string& expected = {},
                           const std::string& hint = "get the file again; `zstd -t` checks it") const {
    throw Error({.where = where_ + ": byte " + std::to_string(input_.offset()),
                 .what = "zstd: " + what,
                 .expected = expected,
                 .hint = hint});
  }
  [[noreturn]] void Fail(int code) const {
    switch (code) {
      case ZSTD_error_frameParameter_windowTooLarge:
        FailAt("the window of the compression is too large", "at most 128 MB", "compress the file without --long");
      case ZSTD_error_dictionary_wrong:
        FailAt("the file needs a dictionary", "a file that was compressed without one");
      case ZSTD_error_prefix_unknown:
        FailAt("there is something else after the compressed data");
      case ZSTD_error_checksum_wrong:
        FailAt("the checksum does not match the data");
      default:
        FailAt("the compressed data is damaged");
    }
  }

  Input input_;
  std::string where_;
  ZSTD_DCtx* stream_;
  bool in_frame_ = false;
  int error_ = 0;  // met after bytes that were delivered
};

// Skippable frames, which may precede the first one, have magics 184D2A50 to 184D2A5F.
bool IsZstd(std::string_view head) {
  if (head.size() < 4) return false;
  return head.starts_with("\x28\xB5\x2F\xFD") ||
         (head.substr(1, 3) == "\x2A\x4D\x18" && (static_cast<unsigned char>(head[0]) & 0xF0) == 0x50);
}

}  // namespace

std::unique_ptr<ByteSource> Decompressed(std::unique_ptr<ByteSource> source, const std::string& where) {
  Input input(std::move(source));
  while (input.end < 4) {
    const size_t n = input.source->Read(input.buffer.data() + input.end, input.buffer.size() - input.end);
    if (n == 0) break;
    input.end += n;
  }
  if (input.text().starts_with("\x1F\x8B")) return std::make_unique<GzipSource>(std::move(input), where);
  if (IsZstd(input.text())) return std::make_unique<ZstdSource>(std::move(input), where);
  return std::make_unique<PlainSource>(std::move(input));
}

}  // namespace stablelm
