#include "base/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "base/mapped_file.h"

namespace stablelm {
namespace {

class Hasher {
 public:
  Hasher() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    STABLELM_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void Update(const void* data, size_t n) { STABLELM_CHECK(EVP_DigestUpdate(context_.get(), data, n) == 1); }
  std::string Hex() {
    std::array<unsigned char, 32> digest{};
    unsigned int length = 0;
    STABLELM_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &length) == 1 && length == digest.size());
    constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (const unsigned char c : digest) {
      hex += kDigits[c >> 4];
      hex += kDigits[c & 15];
    }
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string Sha256Hex(std::string_view bytes) {
  Hasher hasher;
  hasher.Update(bytes.data(), bytes.size());
  return hasher.Hex();
}

std::string Sha256HexOfFile(const std::filesystem::path& path, const std::function<void(size_t)>& on_bytes) {
  const MappedFile file(path);
  Hasher hasher;
  constexpr size_t kPiece = size_t{16} << 20;
  for (size_t at = 0; at < file.size(); at += kPiece) {
    const size_t n = std::min(kPiece, file.size() - at);
    file.WillNeed(at, 2 * kPiece);
    hasher.Update(file.bytes().data() + at, n);
    file.Release(at, n);
    if (on_bytes) on_bytes(n);
  }
  return hasher.Hex();
}

}  // namespace stablelm
