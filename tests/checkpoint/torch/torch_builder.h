// Assembles valid and hostile zip archives and pickles byte by byte, for tests of the PyTorch reader.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

inline std::string LittleEndian(uint64_t value, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

struct TestMember {
  std::string name;
  std::string data;
  uint16_t method = 0;
  uint16_t flags = 0;
  bool zip64 = false;           // sizes and offset in the extra field of the directory
  int64_t crc_change = 0;       // added to the true checksum
  int64_t size_change = 0;      // added to the size in the directory
  int64_t offset_change = 0;    // added to the offset in the directory
  std::string local_name = {};  // empty: same as `name`
};

struct TestArchive {
  std::vector<TestMember> members;
  std::string comment = {};
  bool zip64_end = false;
  uint16_t disk = 0;
  int64_t entries_change = 0;

  std::string Build() const {
    std::string file, directory;
    for (const TestMember& m : members) {
      const auto crc = static_cast<uint64_t>(
          static_cast<int64_t>(crc32_z(0, reinterpret_cast<const Bytef*>(m.data.data()), m.data.size())) +
          m.crc_change);
      const auto size = static_cast<uint64_t>(static_cast<int64_t>(m.data.size()) + m.size_change);
      const auto offset = static_cast<uint64_t>(static_cast<int64_t>(file.size()) + m.offset_change);
      const std::string local = m.local_name.empty() ? m.name : m.local_name;
      // Padding as PyTorch writes it: an extra field of the local header that is not in the directory.
      const std::string padding = "FB" + LittleEndian(3, 2) + "ZZZ";
      file += "PK\3\4" + LittleEndian(45, 2) + LittleEndian(m.flags, 2) + LittleEndian(m.method, 2) +
              LittleEndian(0, 4) + LittleEndian(crc, 4) + LittleEndian(m.data.size(), 4) +
              LittleEndian(m.data.size(), 4) + LittleEndian(local.size(), 2) + LittleEndian(padding.size(), 2) + local +
              padding + m.data;
      const uint64_t ones = 0xFFFFFFFF;
      std::string extra;
      if (m.zip64) {
        extra = "AB" + LittleEndian(1, 2) + "x" + LittleEndian(1, 2) + LittleEndian(24, 2) + LittleEndian(size, 8) +
                LittleEndian(size, 8) + LittleEndian(offset, 8);
      }
      directory += "PK\1\2" + LittleEndian(45, 2) + LittleEndian(45, 2) + LittleEndian(m.flags, 2) +
                   LittleEndian(m.method, 2) + LittleEndian(0, 4) + LittleEndian(crc, 4) +
                   LittleEndian(m.zip64 ? ones : size, 4) + LittleEndian(m.zip64 ? ones : size, 4) +
                   LittleEndian(m.name.size(), 2) + LittleEndian(extra.size(), 2) + LittleEndian(0, 2) +
                   LittleEndian(0, 2) + LittleEndian(0, 2) + LittleEndian(0, 4) +
                   LittleEndian(m.zip64 ? ones : offset, 4) + m.name + extra;
    }
    const uint64_t begin = file.size();
    const auto entries = static_cast<uint64_t>(static_cast<int64_t>(members.size()) + entries_change);
    file += directory;
    if (zip64_end) {
      const uint64_t record = file.size();
      file += "PK\6\6" + LittleEndian(44, 8) + LittleEndian(45, 2) + LittleEndian(45, 2) + LittleEndian(disk, 4) +
              LittleEndian(0, 4) + LittleEndian(entries, 8) + LittleEndian(entries, 8) +
              LittleEndian(directory.size(), 8) + LittleEndian(begin, 8);
      file += "PK\6\7" + LittleEndian(0, 4) + LittleEndian(record, 8) + LittleEndian(1, 4);
    }
    file += "PK\5\6" + LittleEndian(disk, 2) + LittleEndian(0, 2) + LittleEndian(zip64_end ? 0xFFFF : entries, 2) +
            LittleEndian(zip64_end ? 0xFFFF : entries, 2) + LittleEndian(zip64_end ? 0xFFFFFFFF : directory.size(), 4) +
            LittleEndian(zip64_end ? 0xFFFFFFFF : begin, 4) + LittleEndian(comment.size(), 2) + comment;
    return file;
  }
};

// ---- pickles: each function returns the bytes of one value ----

namespace pickled {

inline std::string Text(std::string_view text) { return "X" + LittleEndian(text.size(), 4) + std::string(text); }
inline std::string Int(int64_t value) {
  return std::string("\x8A\x08") + LittleEndian(static_cast<uint64_t>(value), 8);
}
inline std::string Tuple(const std::vector<std::string>& items) {
  std::string text = "(";
  for (const std::string& item : items) text += item;
  return text + "t";
}
inline std::string Ints(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(Int(value));
  return Tuple(items);
}
inline std::string Name(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string EmptyOrderedDict() { return Name("collections", "OrderedDict") + ")R"; }
inline std::string Storage(std::string_view key, int64_t elements, std::string_view type = "FloatStorage") {
  return Tuple({Text("storage"), Name("torch", type), Text(key), Text("cpu"), Int(elements)}) + "Q";
}
inline std::string LegacyStorage(std::string_view key, int64_t elements, const std::string& view = "N") {
  return Tuple({Text("storage"), Name("torch", "FloatStorage"), Text(key), Text("cpu"), Int(elements), view}) + "Q";
}
inline std::string Tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& sizes,
                          const std::vector<int64_t>& strides) {
  return Name("torch._utils", "_rebuild_tensor_v2") +
         Tuple({storage, Int(offset), Ints(sizes), Ints(strides), "\x89", EmptyOrderedDict()}) + "R";
}
inline std::string Dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string text = "}(";
  for (const auto& [key, value] : items) text += Text(key) + value;
  return text + "u";
}
inline std::string Whole(const std::string& value) { return "\x80\x02" + value + "."; }

}  // namespace pickled

// A PyTorch container with this data.pkl and storages "0", "1", ...
inline TestArchive TorchArchive(const std::string& data_pkl, const std::vector<std::string>& storages) {
  TestArchive archive;
  archive.members.push_back({.name = "archive/data.pkl", .data = data_pkl});
  for (size_t i = 0; i < storages.size(); ++i) {
    archive.members.push_back({.name = "archive/data/" + std::to_string(i), .data = storages[i]});
  }
  archive.members.push_back({.name = "archive/version", .data = "3\n"});
  return archive;
}

}  // namespace stablelm
