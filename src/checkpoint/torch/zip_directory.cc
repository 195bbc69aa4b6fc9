#include "checkpoint/torch/zip_directory.h"

#include <zlib.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/read_error.h"

namespace stablelm {
namespace {

constexpr uint32_t kLocalHeader = 0x04034B50;       // "PK\3\4"
constexpr uint32_t kCentralHeader = 0x02014B50;     // "PK\1\2"
constexpr uint32_t kEndOfDirectory = 0x06054B50;    // "PK\5\6"
constexpr uint32_t kEndOfDirectory64 = 0x06064B50;  // "PK\6\6"
constexpr uint32_t kLocator64 = 0x07064B50;         // "PK\6\7"
constexpr size_t kMaxMembers = 200'000;

// Reads little-endian fields of the file. The caller must check that they are inside the file.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> file) : file_(file) {}
  uint16_t U16(uint64_t at) const { return static_cast<uint16_t>(Read(at, 2)); }
  uint32_t U32(uint64_t at) const { return static_cast<uint32_t>(Read(at, 4)); }
  uint64_t U64(uint64_t at) const { return Read(at, 8); }
  std::string_view Text(uint64_t at, size_t n) const { return {reinterpret_cast<const char*>(file_.data()) + at, n}; }
  bool Has(uint64_t at, uint64_t n) const { return at <= file_.size() && n <= file_.size() - at; }
  uint64_t size() const { return file_.size(); }

 private:
  uint64_t Read(uint64_t at, size_t n) const {
    STABLELM_CHECK(Has(at, n));
    uint64_t value = 0;
    for (size_t i = 0; i < n; ++i) value |= std::to_integer<uint64_t>(file_[at + i]) << (8 * i);
    return value;
  }
  std::span<const std::byte> file_;
};

struct Directory {
  uint64_t entries = 0;
  uint64_t size = 0;
  uint64_t offset = 0;
};

class Reader {
 public:
  Reader(std::span<const std::byte> file, const std::string& where) : bytes_(file), where_(where) {}

  std::vector<ZipMember> Run() {
    const Directory directory = FindDirectory();
    std::vector<ZipMember> members;
    std::set<std::string> names;
    std::vector<std::pair<uint64_t, uint64_t>> extents;  // local header to end of data
    uint64_t at = directory.offset;
    const uint64_t end = directory.offset + directory.size;
    for (uint64_t i = 0; i < directory.entries; ++i) {
      if (end - at < 46 || bytes_.U32(at) != kCentralHeader) Fail("damaged zip directory");
      const size_t name_bytes = bytes_.U16(at + 28);
      const size_t extra_bytes = bytes_.U16(at + 30);
      const uint64_t whole = uint64_t{46} + name_bytes + extra_bytes + bytes_.U16(at + 32);
      if (end - at < whole) Fail("damaged zip directory");
      ZipMember member;
      member.name = bytes_.Text(at + 46, name_bytes);
      CheckName(member.name);
      if (!names.insert(member.name).second) Fail("two members have the name " + Quoted(member.name));
      const uint64_t header = ReadCentral(at, member, at + 46 + name_bytes, extra_bytes);
      FindData(header, directory.offset, member);
      extents.emplace_back(header, member.offset + member.size);
      members.push_back(std::move(member));
      at += whole;
    }
    if (at != end) Fail("damaged zip directory");
    std::ranges::sort(extents);
    for (size_t i = 1; i < extents.size(); ++i) {
      if (extents[i].first < extents[i - 1].second) Fail("members of the zip archive overlap");
    }
    return members;
  }

 private:
  [[noreturn]] void Fail(const std::string& what, const std::string& found = {}, const std::string& expected = {},
                         const std::string& hint = kDamagedFileHint) const {
    throw Error({.where = where_, .what = what, .found = found, .expected = expected, .hint = hint});
  }

  Directory FindDirectory() const {
    const std::string hint = "the file is truncated or damaged: download or copy it again";
    if (!bytes_.Has(0, 22) || bytes_.U32(0) != kLocalHeader) Fail("not a zip archive of PyTorch", {}, {}, hint);
    // The end record has 22 bytes and a comment of at most 65,535 bytes.
    const uint64_t lowest = bytes_.size() > 65'557 ? bytes_.size() - 65'557 : 0;
    uint64_t at = bytes_.size() - 22;
    while (bytes_.U32(at) != kEndOfDirectory || bytes_.U16(at + 20) != bytes_.size() - at - 22) {
      if (at == lowest) Fail("the zip archive has no directory at its end", {}, {}, hint);
      --at;
    }
    Directory directory{bytes_.U16(at + 10), bytes_.U32(at + 12), bytes_.U32(at + 16)};
    uint64_t disk = bytes_.U16(at + 4), directory_disk = bytes_.U16(at + 6);
    uint64_t disks_entries = bytes_.U16(at + 8);
    uint64_t limit = at;
    if (at >= 20 && bytes_.U32(at - 20) == kLocator64) {
      const uint64_t record = bytes_.U64(at - 20 + 8);
      if (bytes_.U32(at - 20 + 4) != 0 || bytes_.U32(at - 20 + 16) > 1) Fail("the zip archive spans several disks");
      if (record > at - 20 || at - 20 - record < 56 || bytes_.U32(record) != kEndOfDirectory64) {
        Fail("damaged zip64 end record", {}, {}, hint);
      }
      disk = bytes_.U32(record + 16);
      directory_disk = bytes_.U32(record + 20);
      disks_entries = bytes_.U64(record + 24);
      directory = {bytes_.U64(record + 32), bytes_.U64(record + 40), bytes_.U64(record + 48)};
      limit = record;
    }
    if (disk != 0 || directory_disk != 0 || disks_entries != directory.entries) {
      Fail("the zip archive spans several disks");
    }
    if (directory.entries > kMaxMembers) {
      Fail("too many members in the zip archive", std::to_string(directory.entries),
           "at most " + std::to_string(kMaxMembers));
    }
    if (directory.offset > limit || directory.size > limit - directory.offset) {
      Fail("the zip directory lies outside the file", {}, {}, hint);
    }
    return directory;
  }

  void CheckName(const std::string& name) const {
    bool bad = name.empty() || name.front() == '/';
    for (const char c : name) bad |= static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == 0x7F;
    for (size_t begin = 0; begin <= name.size();) {
      const size_t slash = std::min(name.find('/', begin), name.size());
      bad |= std::string_view(name).substr(begin, slash - begin) == "..";
      begin = slash + 1;
    }
    if (bad) Fail("unsafe name of a zip member", Quoted(name));
  }

  // Fills size and CRC, returns the offset of the local header.
  uint64_t ReadCentral(uint64_t at, ZipMember& member, uint64_t extra, size_t extra_bytes) const {
    const uint16_t flags = bytes_.U16(at + 8);
    const uint16_t method = bytes_.U16(at + 10);
    if (flags & 0x2041) Fail("the zip member " + Quoted(member.name) + " is encrypted");
    if (method != 0) {
      Fail("the zip member " + Quoted(member.name) + " is compressed", "method " + std::to_string(method),
           "method 0 (stored), as PyTorch writes");
    }
    member.crc32 = bytes_.U32(at + 16);
    uint64_t stored = bytes_.U32(at + 20);
    member.size = bytes_.U32(at + 24);
    uint64_t disk = bytes_.U16(at + 34);
    uint64_t header = bytes_.U32(at + 42);
    // zip64: the extra field 0x0001 has, in this order, the fields that are all ones here.
    const bool wide_size = member.size == 0xFFFFFFFF, wide_stored = stored == 0xFFFFFFFF;
    const bool wide_header = header == 0xFFFFFFFF, wide_disk = disk == 0xFFFF;
    if (wide_size || wide_stored || wide_header || wide_disk) {
      uint64_t field = extra;
      const uint64_t extra_end = extra + extra_bytes;
      while (extra_end - field >= 4 && bytes_.U16(field) != 1) {
        const uint64_t skip = uint64_t{4} + bytes_.U16(field + 2);
        if (extra_end - field < skip) Fail("damaged zip directory");
        field += skip;
      }
      const size_t need = 8 * (size_t{wide_size} + wide_stored + wide_header) + (wide_disk ? 4 : 0);
      if (extra_end - field < 4 || extra_end - field - 4 < bytes_.U16(field + 2) || bytes_.U16(field + 2) < need) {
        Fail("damaged zip64 sizes of the member " + Quoted(member.name));
      }
      field += 4;
      for (auto [wide, value] : {std::pair{wide_size, &member.size}, {wide_stored, &stored}, {wide_header, &header}}) {
        if (wide) {
          *value = bytes_.U64(field);
          field += 8;
        }
      }
      if (wide_disk) disk = bytes_.U32(field);
    }
    if (disk != 0) Fail("the zip archive spans several disks");
    if (stored != member.size) Fail("damaged sizes of the zip member " + Quoted(member.name));
    return header;
  }

  // The data follow the local header. Its extra field differs from the central directory's: PyTorch adds padding there.
  void FindData(uint64_t header, uint64_t limit, ZipMember& member) const {
    if (header > limit || limit - header < 30 || bytes_.U32(header) != kLocalHeader) {
      Fail("the zip member " + Quoted(member.name) + " has no local header");
    }
    const uint64_t name_bytes = bytes_.U16(header + 26);
    const uint64_t whole = 30 + name_bytes + bytes_.U16(header + 28);
    if (limit - header < whole || name_bytes != member.name.size() ||
        bytes_.Text(header + 30, name_bytes) != member.name || bytes_.U16(header + 8) != 0) {
      Fail("the zip member " + Quoted(member.name) + " has a local header that disagrees with the directory");
    }
    member.offset = header + whole;
    if (limit - member.offset < member.size) {
      Fail("the zip member " + Quoted(member.name) + " reaches past the data of the archive");
    }
  }

  const Bytes bytes_;
  const std::string& where_;
};

}  // namespace

std::vector<ZipMember> ReadZipDirectory(std::span<const std::byte> file, const std::string& where) {
  return Reader(file, where).Run();
}

void CheckZipMember(std::span<const std::byte> file, const ZipMember& member, const std::string& where) {
  const auto* data = reinterpret_cast<const Bytef*>(file.data() + member.offset);
  const auto found = static_cast<uint32_t>(crc32_z(crc32_z(0, nullptr, 0), data, member.size));
  if (found != member.crc32) {
    throw Error({.where = where,
                 .what = "damaged: the zip member " + Quoted(member.name) + " does not match its checksum",
                 .hint = "download or copy the file again"});
  }
}

}  // namespace stablelm
