// The directory of a zip archive whose members are all stored (not compressed), as PyTorch writes them: where each
// member's bytes lie, so that they can be used in place.
//
// Reads the central directory, zip64 included (PKWARE APPNOTE 4.3-4.5). Refuses compression, encryption, several disks,
// repeated names, names with ".." and members that overlap or leave the file.
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

// In the order of the directory. `where` names the file in errors. Throws Error.
std::vector<ZipMember> ReadZipDirectory(std::span<const std::byte> file, const std::string& where);

// Compares the member's bytes with its CRC-32; reads all of them. Throws Error.
void CheckZipMember(std::span<const std::byte> file, const ZipMember& member, const std::string& where);

}  // namespace stablelm
