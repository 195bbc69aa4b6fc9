#include "checkpoint/gguf/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>

#include "base/counted.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/read_error.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kMaxKeys = 100'000;
constexpr uint64_t kMaxTensors = 100'000;
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint64_t kMaxNameBytes = 64;
constexpr uint32_t kMaxDims = 4;
constexpr int kMaxNesting = 4;
constexpr uint64_t kAnyLength = std::numeric_limits<uint64_t>::max();  // of a string inside the file
// Minimum size in the file of a key with its value, and of a tensor description.
constexpr uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 4 + 8;

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The field being read. The error text is built only when needed.
struct Field {
  const char* what;            // "the number of tensors", "the value of the key", "the name of tensor"
  std::string_view name = {};  // of a key or tensor
  uint64_t index = 0;          // of a key or tensor whose name is not yet known
  bool indexed = false;

  std::string Text() const {
    std::string text = what;
    if (indexed) text += " " + std::to_string(index);
    if (!name.empty()) text += " " + Quoted(name);
    return text;
  }
};

// Sequential reader of the header; checks that every read is inside the file.
class Cursor {
 public:
  Cursor(std::span<const std::byte> file, const std::string& where) : file_(file), where_(where) {}

  uint64_t at() const { return at_; }
  uint64_t remaining() const { return file_.size() - at_; }
  std::span<const std::byte> Since(uint64_t begin) const { return file_.subspan(begin, at_ - begin); }

  [[noreturn]] void Fail(const Field& field, uint64_t at, const std::string& what, const std::string& found = {},
                         const std::string& expected = {}, const std::string& hint = kDamagedFileHint) const {
    throw Error({.where = where_ + ": " + field.Text() + " (byte " + std::to_string(at) + ")",
                 .what = what,
                 .found = found,
                 .expected = expected,
                 .hint = hint});
  }

  // `needed`: size that the file must have at least; nullopt: more than any file has, so a length is damaged.
  [[noreturn]] void FailTruncated(const Field& field, uint64_t at, const std::string& what,
                                  std::optional<uint64_t> needed) const {
    Fail(field, at, what + " reaches past the end of the file, which is " + (needed ? "truncated" : "damaged"),
         "a file of " + Counted(file_.size(), "byte"), needed ? "at least " + std::to_string(*needed) + " bytes" : "",
         "download or copy it again");
  }

  const std::byte* Take(const Field& field, uint64_t bytes) {
    if (bytes > remaining()) FailTruncated(field, at_, "the field", CheckedAdd(at_, bytes));
    const std::byte* p = file_.data() + at_;
    at_ += bytes;
    return p;
  }

  template <typename T>
  T Number(const Field& field) {
    return Load<T>(Take(field, sizeof(T)));
  }

  std::string_view String(const Field& field, uint64_t max_bytes) {
    const uint64_t begin = at_;
    const uint64_t bytes = Number<uint64_t>(field);
    if (bytes > max_bytes) {
      Fail(field, begin, "too long", Counted(bytes, "byte"), "at most " + std::to_string(max_bytes));
    }
    return {reinterpret_cast<const char*>(Take(field, bytes)), bytes};
  }

  GgufType Type(const Field& field) {
    const uint64_t begin = at_;
    const uint32_t type = Number<uint32_t>(field);
    if (type >= kGgufTypes) {
      Fail(field, begin, "unknown type of value", std::to_string(type), "0 to " + std::to_string(kGgufTypes - 1));
    }
    return static_cast<GgufType>(type);
  }

  bool Bool(const Field& field) {
    const uint64_t begin = at_;
    const uint8_t value = Number<uint8_t>(field);
    if (value > 1) Fail(field, begin, "not a flag", std::to_string(value), "0 or 1");
    return value == 1;
  }

  GgufArray Array(const Field& field, int depth) {
    if (depth > kMaxNesting) {
      Fail(field, at_, "arrays nested too deeply", {}, "at most " + std::to_string(kMaxNesting) + " levels");
    }
    GgufArray array;
    array.type = Type(field);
    const uint64_t size_at = at_;
    array.size = Number<uint64_t>(field);
    const uint64_t begin = at_;
    // Minimum size of an element: refuse a count that the rest of the file cannot hold. Each iteration below consumes
    // at least that many bytes.
    const uint64_t least = array.type == GgufType::kString  ? 8
                           : array.type == GgufType::kArray ? 12
                                                            : BytesOf(array.type);
    if (array.size > remaining() / least) {
      Fail(field, size_at, "more elements than the file has room for", std::to_string(array.size),
           "at most " + std::to_string(remaining() / least) + " in a file of " + Counted(file_.size(), "byte"),
           "the file is truncated or damaged: download it again");
    }
    switch (array.type) {
      case GgufType::kString:
        for (uint64_t i = 0; i < array.size; ++i) String(field, kAnyLength);
        break;
      case GgufType::kArray:
        for (uint64_t i = 0; i < array.size; ++i) Array(field, depth + 1);
        break;
      case GgufType::kBool:
        for (uint64_t i = 0; i < array.size; ++i) Bool(field);
        break;
      default:
        Take(field, array.size * least);
    }
    array.bytes = Since(begin);
    return array;
  }

  GgufValue Value(const Field& field, GgufType type) {
    switch (type) {
      case GgufType::kU8:
        return uint64_t{Number<uint8_t>(field)};
      case GgufType::kI8:
        return int64_t{Number<int8_t>(field)};
      case GgufType::kU16:
        return uint64_t{Number<uint16_t>(field)};
      case GgufType::kI16:
        return int64_t{Number<int16_t>(field)};
      case GgufType::kU32:
        return uint64_t{Number<uint32_t>(field)};
      case GgufType::kI32:
        return int64_t{Number<int32_t>(field)};
      case GgufType::kF32:
        return double{Number<float>(field)};
      case GgufType::kBool:
        return Bool(field);
      case GgufType::kString:
        return String(field, kAnyLength);
      case GgufType::kArray:
        return Array(field, 1);
      case GgufType::kU64:
        return Number<uint64_t>(field);
      case GgufType::kI64:
        return Number<int64_t>(field);
      case GgufType::kF64:
        return Number<double>(field);
    }
    STABLELM_CHECK(false);
  }

 private:
  std::span<const std::byte> file_;
  const std::string& where_;
  uint64_t at_ = 0;
};

void ReadVersion(Cursor& in, GgufHeader& header) {
  const Field magic = {"the magic"};
  const std::string_view found(reinterpret_cast<const char*>(in.Take(magic, 4)), 4);
  if (found != "GGUF") {
    const std::string_view older = OldGgmlKind(found);
    if (older.empty()) in.Fail(magic, 0, "not a GGUF file", Quoted(found), "\"GGUF\"", "download or copy it again");
    in.Fail(magic, 0, "a file of the kind " + std::string(older) + ", which ggml's programs wrote before GGUF",
            Quoted(found), "\"GGUF\"",
            "convert the original model again: stablelm convert FOLDER model.gguf; or look for a newer file of it");
  }
  const Field version = {"the version"};
  header.version = in.Number<uint32_t>(version);
  if (header.version != 0 && (header.version & 0xFFFF) == 0) {
    in.Fail(version, 4, "the file is big-endian", {}, "a little-endian file",
            "convert it: gguf-convert-endian of the Python package gguf does");
  }
  if (header.version != 2 && header.version != 3) {
    in.Fail(
        version, 4, "unknown version of GGUF", std::to_string(header.version), "2 or 3",
        header.version == 1
            ? "version 1 was in use for a few days only: convert the original model again"
            : "the file was written by a newer program: convert the original model with stablelm convert, or update "
              "this program");
  }
}

void ReadEntries(Cursor& in, uint64_t count, GgufHeader& header) {
  std::set<std::string_view> seen;
  for (uint64_t i = 0; i < count; ++i) {
    GgufEntry entry;
    entry.offset = in.at();
    const Field unnamed = {.what = "key", .index = i, .indexed = true};
    entry.key = in.String(unnamed, kMaxKeyBytes);
    if (entry.key.empty()) in.Fail(unnamed, entry.offset, "an empty key");
    for (const char c : entry.key) {
      if (c <= 0x20 || c >= 0x7F) {
        in.Fail({.what = "key", .name = entry.key}, entry.offset, "not a key", {},
                "lower-case letters, digits, '_' and '.'");
      }
    }
    const Field field = {.what = "key", .name = entry.key};
    if (!seen.insert(entry.key).second) in.Fail(field, entry.offset, "appears twice");
    const uint64_t begin = in.at();
    entry.type = in.Type(field);
    entry.value = in.Value(field, entry.type);
    entry.encoded = in.Since(begin);
    if (entry.key == "general.alignment") {
      const uint64_t* value = std::get_if<uint64_t>(&entry.value);
      if (entry.type != GgufType::kU32 || *value < 8 || !std::has_single_bit(*value)) {
        in.Fail(field, begin, "bad alignment", value ? std::to_string(*value) : std::string(NameOf(entry.type)),
                "a u32 that is a power of two of at least 8");
      }
      header.alignment = *value;
    }
    header.entries.push_back(entry);
  }
}

StoredTensor ReadTensorInfo(Cursor& in, uint64_t index, const GgufHeader& header, std::set<std::string_view>& seen) {
  const uint64_t begin = in.at();
  const Field unnamed = {.what = "tensor", .index = index, .indexed = true};
  const std::string_view name = in.String(unnamed, kMaxNameBytes);
  const Field field = {.what = "tensor", .name = name};
  if (name.empty()) in.Fail(unnamed, begin, "an empty name");
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (utf8::FirstInvalid(name) != utf8::kValid || std::ranges::any_of(name, is_control)) {
    in.Fail(field, begin, "bad name", {}, "UTF-8 without control characters");
  }
  if (!seen.insert(name).second) in.Fail(field, begin, "appears twice");

  StoredTensor tensor;
  tensor.name = name;
  const uint64_t dims_at = in.at();
  const uint32_t n_dims = in.Number<uint32_t>(field);
  if (n_dims > kMaxDims) {
    in.Fail(field, dims_at, "too many dimensions", std::to_string(n_dims), "at most " + std::to_string(kMaxDims));
  }
  // The file stores the fastest dimension (row length) first; Shape stores it last.
  std::array<int64_t, kMaxDims> dims{};
  std::optional<uint64_t> product = 1;
  uint64_t elements = 1;
  uint64_t row = 1;
  for (uint32_t d = 0; d < n_dims; ++d) {
    const uint64_t size = in.Number<uint64_t>(field);
    // Multiply with zeros as ones: a zero dimension must not hide an overflow of the others.
    product = CheckedMul(product.value_or(1), std::max<uint64_t>(size, 1));
    elements *= size;
    if (!product || size > uint64_t{std::numeric_limits<int64_t>::max()}) {
      in.Fail(field, dims_at, "the product of the dimensions is too large",
              std::to_string(size) + " as dimension " + std::to_string(d), "fewer than 2^63 elements");
    }
    if (d == 0) row = size;
    dims[n_dims - 1 - d] = static_cast<int64_t>(size);
  }
  tensor.shape = Shape(std::span<const int64_t>(dims.data(), n_dims));

  const uint64_t type_at = in.at();
  const uint32_t number = in.Number<uint32_t>(field);
  const GgufTensorType* type = FindGgufTensorType(number);
  if (!type) {
    in.Fail(field, type_at, "unknown type of tensor", "type " + std::to_string(number), "a type of ggml",
            "the file was written by a newer or a much older llama.cpp than this program knows");
  }
  tensor.stored_as = type->name;
  tensor.dtype = type->dtype;
  if (row % type->block_elements != 0) {
    in.Fail(field, dims_at, "rows are not a whole number of blocks",
            std::to_string(row) + " elements of " + tensor.stored_as,
            "a multiple of " + std::to_string(type->block_elements));
  }
  const std::optional<uint64_t> bytes = CheckedMul(elements / type->block_elements, type->block_bytes);
  if (!bytes) in.Fail(field, dims_at, "too large", tensor.shape.ToString(), "fewer than 2^63 bytes");
  tensor.bytes = *bytes;

  const uint64_t offset_at = in.at();
  tensor.offset = in.Number<uint64_t>(field);
  if (tensor.offset % header.alignment != 0) {
    in.Fail(field, offset_at, "the offset of its data is not aligned", std::to_string(tensor.offset),
            "a multiple of " + std::to_string(header.alignment));
  }
  return tensor;
}

// Converts offsets in the data to offsets in the file. Checks that all tensors are inside the file and do not overlap.
void PlaceTensors(const Cursor& in, uint64_t file_bytes, GgufHeader& header) {
  const uint64_t data_bytes = file_bytes - std::min(file_bytes, header.data_begin);
  const auto field = [&](size_t i) { return Field{.what = "tensor", .name = header.tensors[i].name}; };
  // Size that the file must have for all its tensors; nullopt: more than any file has.
  const auto needed = [&]() -> std::optional<uint64_t> {
    uint64_t bytes = 0;
    for (const StoredTensor& tensor : header.tensors) {
      std::optional<uint64_t> end = CheckedAdd(tensor.offset, tensor.bytes);
      if (end) end = CheckedAdd(*end, header.data_begin);
      if (!end) return std::nullopt;
      bytes = std::max(bytes, *end);
    }
    return bytes;
  };
  for (size_t i = 0; i < header.tensors.size(); ++i) {
    const StoredTensor& tensor = header.tensors[i];
    const std::optional<uint64_t> end = CheckedAdd(tensor.offset, tensor.bytes);
    // A tensor without elements needs a valid offset too: readers form a pointer from it.
    if (!end || *end > data_bytes || header.data_begin > file_bytes) {
      in.FailTruncated(field(i), header.info_offsets[i], "the data", needed());
    }
  }
  for (StoredTensor& tensor : header.tensors) tensor.offset += header.data_begin;
  std::vector<size_t> order(header.tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return std::pair(header.tensors[i].offset, header.tensors[i].bytes); });
  for (size_t k = 1; k < order.size(); ++k) {
    const StoredTensor& before = header.tensors[order[k - 1]];
    if (before.offset + before.bytes > header.tensors[order[k]].offset) {
      in.Fail(field(order[k]), header.info_offsets[order[k]], "the data overlaps that of tensor " + Quoted(before.name),
              "offset " + std::to_string(header.tensors[order[k]].offset - header.data_begin),
              "at least " + std::to_string(before.offset + before.bytes - header.data_begin));
    }
  }
}

}  // namespace

std::string_view OldGgmlKind(std::string_view magic) {
  // Written as little-endian integers, the names read backwards.
  if (magic.starts_with("lmgg")) return "ggml";
  if (magic.starts_with("fmgg")) return "ggmf";
  if (magic.starts_with("tjgg")) return "ggjt";
  if (magic.starts_with("algg")) return "ggla (a LoRA adapter)";
  return {};
}

std::vector<std::string_view> GgufArray::Strings() const {
  STABLELM_CHECK(type == GgufType::kString);
  std::vector<std::string_view> strings;
  strings.reserve(size);  // bounded: each takes at least 8 bytes of the file
  const std::byte* at = bytes.data();
  for (uint64_t i = 0; i < size; ++i) {
    const uint64_t length = Load<uint64_t>(at);
    strings.emplace_back(reinterpret_cast<const char*>(at + 8), length);
    at += 8 + length;
  }
  return strings;
}

std::optional<std::vector<int64_t>> GgufArray::Integers() const {
  std::vector<int64_t> values;
  const auto all = [&]<typename T>(T) {
    values.reserve(size);
    for (uint64_t i = 0; i < size; ++i) values.push_back(static_cast<int64_t>(Load<T>(bytes.data() + i * sizeof(T))));
  };
  switch (type) {
    case GgufType::kU8:
      all(uint8_t{});
      break;
    case GgufType::kI8:
      all(int8_t{});
      break;
    case GgufType::kU16:
      all(uint16_t{});
      break;
    case GgufType::kI16:
      all(int16_t{});
      break;
    case GgufType::kU32:
      all(uint32_t{});
      break;
    case GgufType::kI32:
      all(int32_t{});
      break;
    case GgufType::kU64:
      all(uint64_t{});
      break;
    case GgufType::kI64:
      all(int64_t{});
      break;
    default:
      return std::nullopt;
  }
  return values;
}

const GgufEntry* GgufHeader::Find(std::string_view key) const {
  const auto it = std::ranges::find(entries, key, &GgufEntry::key);
  return it == entries.end() ? nullptr : &*it;
}

void GgufHeader::Fail(std::string_view key, const std::string& what, const std::string& found,
                      const std::string& expected, const std::string& hint) const {
  const GgufEntry* entry = Find(key);
  const std::string place = entry ? " (byte " + std::to_string(entry->offset) + ")" : "";
  throw Error({.where = where + ": key " + Quoted(key) + place,
               .what = what,
               .found = found,
               .expected = expected,
               .hint = hint.empty() ? kDamagedFileHint : hint});
}

std::optional<std::string_view> GgufHeader::Text(std::string_view key) const {
  const GgufEntry* entry = Find(key);
  if (!entry) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(&entry->value)) return *text;
  Fail(key, "wrong kind of value", std::string(NameOf(entry->type)), "a string");
}

std::optional<bool> GgufHeader::Flag(std::string_view key) const {
  const GgufEntry* entry = Find(key);
  if (!entry) return std::nullopt;
  if (const bool* flag = std::get_if<bool>(&entry->value)) return *flag;
  Fail(key, "wrong kind of value", std::string(NameOf(entry->type)), "a bool");
}

std::optional<int64_t> GgufHeader::Integer(std::string_view key) const {
  const GgufEntry* entry = Find(key);
  if (!entry) return std::nullopt;
  if (const int64_t* value = std::get_if<int64_t>(&entry->value)) return *value;
  const uint64_t* value = std::get_if<uint64_t>(&entry->value);
  if (!value) Fail(key, "wrong kind of value", std::string(NameOf(entry->type)), "an integer");
  if (*value > uint64_t{std::numeric_limits<int64_t>::max()}) {
    Fail(key, "number too large", std::to_string(*value), "less than 2^63");
  }
  return static_cast<int64_t>(*value);
}

std::optional<double> GgufHeader::Real(std::string_view key) const {
  const GgufEntry* entry = Find(key);
  if (!entry) return std::nullopt;
  const double* value = std::get_if<double>(&entry->value);
  if (!value) Fail(key, "wrong kind of value", std::string(NameOf(entry->type)), "an f32 or f64");
  if (entry->type == GgufType::kF64) return *value;
  char text[64];
  const auto written = std::to_chars(text, text + sizeof text, static_cast<float>(*value));
  double shortest = *value;
  std::from_chars(text, written.ptr, shortest);  // NaN and infinity stay unchanged
  return shortest;
}

const GgufArray* GgufHeader::Array(std::string_view key, GgufType elements) const {
  const GgufEntry* entry = Find(key);
  if (!entry) return nullptr;
  const GgufArray* array = std::get_if<GgufArray>(&entry->value);
  if (array && array->type == elements) return array;
  Fail(key, "wrong kind of value",
       array ? "an array of " + std::string(NameOf(array->type)) : std::string(NameOf(entry->type)),
       "an array of " + std::string(NameOf(elements)));
}

GgufHeader ParseGguf(std::span<const std::byte> file, const std::string& where) {
  GgufHeader header;
  header.where = where;
  Cursor in(file, where);
  ReadVersion(in, header);
  const Field tensors = {"the number of tensors"}, keys = {"the number of keys"};
  const uint64_t n_tensors = in.Number<uint64_t>(tensors);
  const uint64_t n_keys = in.Number<uint64_t>(keys);
  const auto check_count = [&](const Field& field, uint64_t at, uint64_t count, uint64_t max, uint64_t room) {
    if (count > room) {
      in.Fail(field, at, "more than the file has room for", std::to_string(count),
              "at most " + std::to_string(room) + " in a file of " + Counted(file.size(), "byte"),
              "the file is truncated or damaged: download it again");
    }
    if (count > max) in.Fail(field, at, "too many", std::to_string(count), "at most " + std::to_string(max));
  };
  check_count(tensors, 8, n_tensors, kMaxTensors, in.remaining() / kLeastTensorBytes);
  check_count(keys, 16, n_keys, kMaxKeys, in.remaining() / kLeastKeyBytes);
  ReadEntries(in, n_keys, header);
  std::set<std::string_view> seen;
  for (uint64_t i = 0; i < n_tensors; ++i) {
    header.info_offsets.push_back(in.at());
    header.tensors.push_back(ReadTensorInfo(in, i, header, seen));
  }
  header.data_begin = (in.at() + header.alignment - 1) / header.alignment * header.alignment;
  PlaceTensors(in, file.size(), header);
  return header;
}

GgufFile::GgufFile(const std::filesystem::path& path) : map_(std::make_shared<MappedFile>(path)) {
  if (OldGgmlKind(map_->text()).empty()) RefuseOtherKind(path.string(), map_->text(), FileKind::kGguf);
  header_ = ParseGguf(map_->bytes(), path.string());
}

}  // namespace stablelm
