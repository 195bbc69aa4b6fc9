#include "base/file_kind.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/counted.h"
#include "base/error.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kLfsBegin = "version https://git-lfs";
constexpr size_t kMaxLfsBytes = 1024, kMaxMessageBytes = 4096;

struct Packer {
  std::string_view magic, name, unpack;
};
constexpr Packer kPackers[] = {{"\x1F\x8B"sv, "gzip", "gunzip"},
                               {"\xFD\x37\x7A\x58\x5A\x00"sv, "xz", "unxz"},
                               {"\x28\xB5\x2F\xFD"sv, "zstd", "unzstd"},
                               {"BZh"sv, "bzip2", "bunzip2"}};

const Packer* PackerOf(std::string_view content) {
  const auto* found =
      std::ranges::find_if(kPackers, [&](const Packer& packer) { return content.starts_with(packer.magic); });
  return found == std::end(kPackers) ? nullptr : found;
}

bool BeginsWithTag(std::string_view text, std::string_view tag) {
  return text.size() >= tag.size() && std::ranges::equal(text.substr(0, tag.size()), tag, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b;
         });
}

bool IsSafetensors(std::string_view content) {
  constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's limit
  uint64_t header = 0;
  if (content.size() < sizeof header + 2) return false;
  std::memcpy(&header, content.data(), sizeof header);
  return header >= 2 && header <= kMaxHeaderBytes && content[sizeof header] == '{';
}

bool IsMessage(std::string_view content) {
  if (content.empty() || content.size() > kMaxMessageBytes || utf8::FirstInvalid(content) != utf8::kValid) return false;
  return std::ranges::none_of(content, [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F;
  });
}

// "137 bytes of data", from the pointer's line; else "the file itself".
std::string SizeInPointer(std::string_view content) {
  const size_t at = content.find("\nsize ");
  if (at == std::string_view::npos) return "the file itself";
  const std::string_view digits = content.substr(at + 6, content.find('\n', at + 6) - at - 6);
  const bool number =
      !digits.empty() && digits.size() < 20 && digits.find_first_not_of("0123456789") == std::string_view::npos;
  return number ? std::string(digits) + " bytes of data" : "the file itself";
}

const char* NameOf(FileKind kind) {
  switch (kind) {
    case FileKind::kGguf:
      return "a GGUF file";
    case FileKind::kSafetensors:
      return "a safetensors file";
    case FileKind::kTorch:
      return "a PyTorch file";
    case FileKind::kJson:
      return "JSON";
    default:
      return "the file itself";
  }
}

}  // namespace

FileKind KindOf(std::string_view content) {
  if (content.size() < kMaxLfsBytes && content.starts_with(kLfsBegin)) return FileKind::kLfsPointer;
  if (content.starts_with("GGUF")) return FileKind::kGguf;
  if (content.starts_with("PK\x03\x04") || content.starts_with("\x80\x02\x8A\x0A")) return FileKind::kTorch;
  if (PackerOf(content)) return FileKind::kPacked;
  if (IsSafetensors(content)) return FileKind::kSafetensors;
  constexpr size_t kSeen = 16;
  if (content.size() >= kSeen && content.substr(0, kSeen).find_first_not_of('\0') == std::string_view::npos) {
    return FileKind::kZeros;
  }
  std::string_view text = content;
  utf8::DropByteOrderMark(text);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  if (BeginsWithTag(text, "<!doctype html") || BeginsWithTag(text, "<html")) return FileKind::kWebPage;
  if (!IsMessage(content)) return FileKind::kUnknown;
  return text.starts_with('{') || text.starts_with('[') ? FileKind::kJson : FileKind::kText;
}

void RefuseOtherKind(const std::string& where, std::string_view content, FileKind expected) {
  const FileKind kind = KindOf(content);
  if (kind == expected || kind == FileKind::kUnknown) return;
  ErrorInfo info = {.where = where, .expected = NameOf(expected)};
  switch (kind) {
    case FileKind::kLfsPointer:
      info.what = "this is a Git LFS pointer, not the file";
      info.found = Counted(content.size(), "byte") + " of text";
      info.expected = SizeInPointer(content);
      info.hint =
          "the repository was cloned without LFS: run `git lfs install && git lfs pull` in it, or download the file "
          "from the hub";
      break;
    case FileKind::kWebPage:
      info.what = "this is a web page";
      info.found = Quoted(content, 30);
      info.hint =
          "a page was saved in place of the file: download the file itself (on the hub its address has /resolve/, not "
          "/blob/), logged in where the model asks for it";
      break;
    case FileKind::kPacked:
      info.what = "this file is packed by " + std::string(PackerOf(content)->name);
      info.hint = "unpack it first: " + std::string(PackerOf(content)->unpack);
      break;
    case FileKind::kGguf:
      info.what = "this is a GGUF file";
      info.hint = "give the file itself as the model: " + where;
      break;
    case FileKind::kSafetensors:
      info.what = "this is a safetensors file";
      info.hint = "name it model.safetensors, beside the config.json of its model, and give their folder";
      break;
    case FileKind::kTorch:
      info.what = "this is a zip archive or a file of torch.save";
      info.hint =
          "name a file of torch.save pytorch_model.bin, beside the config.json of its model, and give their folder; "
          "unpack another archive first";
      break;
    case FileKind::kJson:
    case FileKind::kText:
      info.what = "this is text";
      info.found = Quoted(content, 100);
      info.hint = "a message was saved in place of the file: download it again";
      break;
    case FileKind::kZeros:
      info.what = "the file begins with zeros";
      info.hint = "is its download finished? download or copy it again";
      break;
    case FileKind::kUnknown:
      break;
  }
  throw Error(std::move(info));
}

void RefuseLfsPointer(const std::string& where, std::string_view content) {
  if (KindOf(content) == FileKind::kLfsPointer) RefuseOtherKind(where, content, FileKind::kUnknown);
}

}  // namespace stablelm
