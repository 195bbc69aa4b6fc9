#include "base/file_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/counted.h"
#include "base/strict_json.h"
#include "error_info.h"

namespace stablelm {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing::StartsWith;

std::string Safetensors(size_t bytes) {
  const std::string header = "{\"__metadata__\":{}}";
  std::string text(8, '\0');
  text[0] = static_cast<char>(header.size());
  return (text + header).append(bytes, '\xFF');
}

TEST(FileKindTest, IsToldByTheFirstBytes) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 137\n";
  const std::pair<std::string, FileKind> cases[] = {
      {"", FileKind::kUnknown},
      {"\x93\x01\x00\x07 weights"s, FileKind::kUnknown},
      {pointer, FileKind::kLfsPointer},
      {"\xEF\xBB\xBF\n <!DOCTYPE HTML PUBLIC>", FileKind::kWebPage},
      {"<html lang=\"en\">" + std::string(100'000, ' '), FileKind::kWebPage},
      {"\x1F\x8B\x08\x00"s, FileKind::kPacked},
      {"\x28\xB5\x2F\xFD\x00"s, FileKind::kPacked},
      {"\xFD\x37\x7A\x58\x5A\x00\x00"s, FileKind::kPacked},
      {"BZh9", FileKind::kPacked},
      {"GGUF\x03\x00\x00\x00"s, FileKind::kGguf},
      {Safetensors(40), FileKind::kSafetensors},
      {Safetensors(0), FileKind::kSafetensors},
      {"PK\x03\x04 ...", FileKind::kTorch},
      {"\x80\x02\x8A\x0A ...", FileKind::kTorch},
      {"{\"error\": \"Repository not found\"}", FileKind::kJson},
      {"Access to the model is restricted.\n", FileKind::kText},
      {std::string(5000, 'a'), FileKind::kUnknown},  // too long for a message
      {std::string(16, '\0'), FileKind::kZeros},
      {std::string(15, '\0'), FileKind::kUnknown}};
  for (const auto& [content, kind] : cases) EXPECT_EQ(KindOf(content), kind) << content.substr(0, 40);
}

TEST(FileKindTest, AnotherKindIsNamedWithTheWayOn) {
  const auto refused = [](const std::string& content, FileKind expected) {
    return InfoOf([&] { RefuseOtherKind("d/model.safetensors", content, expected); });
  };
  const ErrorInfo gguf = refused("GGUF", FileKind::kSafetensors);
  EXPECT_THAT(gguf, Names("d/model.safetensors"));
  EXPECT_THAT(gguf.what, HasSubstr("GGUF"));
  EXPECT_THAT(gguf.hint, HasSubstr("d/model.safetensors"));
  EXPECT_THAT(refused(Safetensors(4), FileKind::kTorch).hint, HasSubstr("model.safetensors"));
  EXPECT_THAT(refused("PK\x03\x04", FileKind::kGguf).hint, HasSubstr("pytorch_model.bin"));
  EXPECT_THAT(refused("\x1F\x8B", FileKind::kGguf).hint, HasSubstr("gunzip"));
  EXPECT_THAT(refused("<html>", FileKind::kGguf), Names("d/model.safetensors", "\"<html>\""));
  EXPECT_THAT(refused("Not Found", FileKind::kGguf), Names("d/model.safetensors", "\"Not Found\""));
  EXPECT_THAT(refused(std::string(64, '\0'), FileKind::kGguf).what, HasSubstr("zeros"));
  RefuseOtherKind("x", "GGUF", FileKind::kGguf);
  RefuseOtherKind("x", "", FileKind::kGguf);
}

TEST(FileKindTest, JsonThatIsNone) {
  const auto refused = [](const std::string& text) { return InfoOf([&] { RequireStrictJson(text, "c.json"); }); };
  EXPECT_THAT(refused("<!doctype html>").what, HasSubstr("web page"));
  EXPECT_THAT(refused("\x1F\x8B\x08\x00"s).what, HasSubstr("gzip"));
  EXPECT_THAT(refused("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 137\n").expected,
              StartsWith("137 bytes"));
  EXPECT_THAT(refused("hello").what, HasSubstr("line 1, column 1"));  // text with a slip
  EXPECT_FALSE(refused("").hint.empty());
}

TEST(CountedTest, OneAndSeveral) {
  EXPECT_EQ(Counted(1, "token"), "1 token");
  EXPECT_EQ(Counted(size_t{0}, "token"), "0 tokens");
  EXPECT_EQ(Counted(int64_t{2}, "matrix", "matrices"), "2 matrices");
}

}  // namespace
}  // namespace stablelm
