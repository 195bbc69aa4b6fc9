// Reads the directory of a zip archive without compression, as PyTorch writes it: the location of each member's bytes,
// for use in place.
//
// Reads the central directory, including zip64 (PKWARE APPNOTE 4.3-4.5). Refuses compression, encryption, several
// disks, duplicate names, names with "..", and members that overlap or exceed the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace stablelm {

struct ZipMember {
  std::string name;
  uint64_t offset = 0;  // of the data, from the start of the file
  uint64_t size = 0;
  uint32_t crc32 = 0;
};

// Members in the order of the directory. `where` names the file in errors. Throws Error.
std::vector<ZipMember> ReadZipDirectory(std::span<const std::byte> file, const std::string& where);

// Checks the CRC-32 of a member, which reads all its bytes. Throws Error.
void CheckZipMember(std::span<const std::byte> file, const ZipMember& member, const std::string& where);

}  // namespace stablelm
