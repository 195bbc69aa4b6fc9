// Plain and compressed files as streams of bytes, whole, cut off and damaged.
#include "dataset/read/byte_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <random>
#include <stdexcept>
#include <vector>

#include "dataset/read/collect_rows.h"
#include "error_info.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Bytes that compress to about half.
std::string Noise(size_t bytes) {
  std::mt19937 random(1);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>('a' + (random() & 15));
  return text;
}

std::string Gzip(std::string_view text) {
  z_stream stream = {};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::runtime_error("zlib");
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(std::string_view text, int window_log = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  if (window_log > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  std::string out(ZSTD_compressBound(text.size()), '\0');
  // As a stream, whose end is not known: the size of the content would make the window smaller.
  ZSTD_inBuffer in = {text.data(), text.size(), 0};
  ZSTD_outBuffer to = {out.data(), out.size(), 0};
  ZSTD_compressStream2(context, &to, &in, ZSTD_e_continue);
  if (ZSTD_compressStream2(context, &to, &in, ZSTD_e_end) != 0) throw std::runtime_error("zstd");
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

class Bytes : public testing::Test {
 protected:
  // Reads in pieces of any size; what was read stays in read_ when it throws.
  std::string Read(std::string_view file, size_t piece = 70000) {
    read_.clear();
    const std::filesystem::path path = files_.Write("file", file);
    const std::unique_ptr<ByteSource> source = Decompressed(OpenFileBytes(path), path.string());
    std::string buffer(piece, '\0');
    while (const size_t n = source->Read(buffer.data(), buffer.size())) read_.append(buffer, 0, n);
    EXPECT_EQ(source->consumed(), file.size());
    EXPECT_EQ(source->Read(buffer.data(), buffer.size()), 0u);
    return read_;
  }
  ErrorInfo Failure(std::string_view file) {
    return InfoOf([&] { Read(file); });
  }
  std::string Place(size_t offset) const { return files_.Path("file").string() + ": byte " + std::to_string(offset); }
  RowFiles files_;
  std::string read_;
};

TEST_F(Bytes, PlainFilesComeAsTheyAre) {
  for (const size_t size : {0u, 1u, 2u, 3u, 4u, 5u, 300000u}) {
    const std::string text = Noise(size);
    EXPECT_EQ(Read(text), text);
    EXPECT_EQ(Read(text.substr(0, 100), 1), text.substr(0, 100));
  }
  EXPECT_EQ(Read("\x1F"), "\x1F");
  EXPECT_EQ(Read("\x28\xB5\x2F"), "\x28\xB5\x2F");
}

TEST_F(Bytes, GzipMayHaveManyMembers) {
  const std::string a = Noise(1000000), b = Noise(3);
  EXPECT_EQ(Read(Gzip(a)), a);
  EXPECT_EQ(Read(Gzip(a), 7), a);
  EXPECT_EQ(Read(Gzip("")), "");
  EXPECT_EQ(Read(Gzip(b) + Gzip("") + Gzip(a) + Gzip(b)), b + a + b);
  EXPECT_EQ(Read(Gzip(b) + std::string(1000, '\0')), b);  // padding
}

TEST_F(Bytes, ZstdMayHaveManyFrames) {
  const std::string a = Noise(1000000), b = Noise(3);
  const std::string skippable("\x5A\x2A\x4D\x18\x03\0\0\0abc", 11);
  EXPECT_EQ(Read(Zstd(a)), a);
  EXPECT_EQ(Read(Zstd(a), 7), a);
  EXPECT_EQ(Read(Zstd("")), "");
  EXPECT_EQ(Read(skippable + Zstd(b) + skippable + Zstd("") + Zstd(a) + Zstd(b)), b + a + b);
}

TEST_F(Bytes, ACutOffFileGivesWhatItHasThenFails) {
  const std::string text = Noise(1000000);
  for (const std::string& whole : {Gzip(text), Zstd(text)}) {
    for (const size_t size : {whole.size() - 1, whole.size() - 9, whole.size() / 2, whole.size() / 5}) {
      EXPECT_THAT(Failure(whole.substr(0, size)), Names(Place(size)));
      EXPECT_EQ(read_, text.substr(0, read_.size()));
      EXPECT_GT(read_.size() + (size_t{1} << 17), text.size() * size / whole.size());  // but for a block
    }
    for (size_t size = 4; size < 30; ++size) EXPECT_THAT(Failure(whole.substr(0, size)), Names(Place(size)));
    EXPECT_THAT(Failure(whole + whole.substr(0, whole.size() / 2)), Names(Place(whole.size() + whole.size() / 2)));
    EXPECT_EQ(read_.substr(0, text.size()), text);
  }
}

TEST_F(Bytes, DamageIsFoundAndNamed) {
  const std::string text = Noise(1000000);
  for (const std::string& whole : {Gzip(text), Zstd(text)}) {
    std::string damaged = whole;
    damaged[whole.size() - 2] ^= 1;  // checksum or length
    EXPECT_THAT(Failure(damaged).where, StartsWith(files_.Path("file").string() + ": byte "));
    damaged = whole;
    for (size_t i = 0; i < 64; ++i) damaged[whole.size() / 2 + i] = '\xFF';
    EXPECT_THAT(Failure(damaged).where, StartsWith(files_.Path("file").string() + ": byte "));
    EXPECT_THAT(Failure(whole + "{\"a\": 1}\n"), Names(Place(whole.size())));
    EXPECT_EQ(read_, text);
  }
  EXPECT_THAT(Failure("\x1F\x8B\xFF\xFF\xFF\xFF\xFF\xFF"), Names(StartsWith(files_.Path("file").string())));
}

TEST_F(Bytes, ZstdWithALargeWindowIsRefused) {
  const ErrorInfo info = Failure(Zstd(Noise(100), 28));
  EXPECT_THAT(info, Names(StartsWith(files_.Path("file").string())));
  EXPECT_THAT(info.expected, HasSubstr("128 MB"));
}

TEST_F(Bytes, OnlyRegularFilesAreOpened) {
  const std::filesystem::path folder = files_.Path("folder"), link = files_.Path("link");
  std::filesystem::create_directory(folder);
  std::filesystem::create_symlink("absent", link);
  EXPECT_THAT(InfoOf([&] { OpenFileBytes(folder); }), Names(folder.string()));
  EXPECT_THAT(InfoOf([&] { OpenFileBytes(link); }).where, StartsWith(link.string()));
  EXPECT_THAT(InfoOf([&] { OpenFileBytes(files_.Path("absent")); }), Names(files_.Path("absent").string()));
  EXPECT_THAT(InfoOf([&] { OpenFileBytes("/dev/null"); }), Names("/dev/null"));
}

}  // namespace
}  // namespace stablelm
