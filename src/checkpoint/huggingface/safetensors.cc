#include "checkpoint/huggingface/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/counted.h"
#include "base/error.h"
#include "base/read_error.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxHeaderTensors = 100'000;
constexpr size_t kMaxDepth = 64;

struct TypeInfo {
  std::string_view name;
  uint32_t bits;
  std::optional<DType> dtype;
};
constexpr TypeInfo kSafetensorsTypes[] = {
    {"F32", 32, DType::kF32},         {"F16", 16, DType::kF16},     {"BF16", 16, DType::kBF16},
    {"F64", 64, DType::kF64},         {"I64", 64, DType::kI64},     {"I32", 32, DType::kI32},
    {"I16", 16, DType::kI16},         {"I8", 8, DType::kI8},        {"U8", 8, DType::kU8},
    {"BOOL", 8, DType::kBool},        {"U16", 16, std::nullopt},    {"U32", 32, std::nullopt},
    {"U64", 64, std::nullopt},        {"C64", 64, std::nullopt},    {"F8_E5M2", 8, std::nullopt},
    {"F8_E4M3", 8, std::nullopt},     {"F8_E8M0", 8, std::nullopt}, {"F8_E4M3FNUZ", 8, std::nullopt},
    {"F8_E5M2FNUZ", 8, std::nullopt}, {"F4", 4, std::nullopt},      {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt},
};

// SAX handler of the header's JSON. Stores only the entries, and sees every key, so it can refuse duplicates.
class HeaderReader {
 public:
  HeaderReader(const std::string& where, uint64_t data_bytes) : where_(where), data_bytes_(data_bytes) {}

  struct Entry {
    StoredTensor tensor;
    uint64_t begin = 0, end = 0;  // relative to the start of the data
  };
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  // The interface of nlohmann's SAX parser.
  bool null() {
    if (Skipped()) return true;
    if (state_ == State::kMetadata) {  // no metadata
      state_ = State::kName;
      return true;
    }
    return Unexpected("null");
  }
  bool boolean(bool) { return Skipped() || Unexpected("a flag"); }
  bool number_integer(int64_t value) { return Skipped() || Unexpected(std::to_string(value)); }
  bool number_float(double, const std::string& text) { return Skipped() || Unexpected(text.substr(0, 40)); }
  bool binary(Json::binary_t&) { return Unexpected("binary"); }

  bool number_unsigned(uint64_t value) {
    if (Skipped()) return true;
    if (state_ == State::kShapeItem) {
      if (shape_.size() == Shape::kMaxRank) {
        Fail(entry_.tensor.name, "too many dimensions", {}, "at most " + std::to_string(Shape::kMaxRank));
      }
      if (value > uint64_t{std::numeric_limits<int64_t>::max()}) {
        Fail(entry_.tensor.name, "dimension too large", std::to_string(value), {});
      }
      shape_.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (state_ == State::kOffsetItem) {
      if (offsets_.size() == 2) Fail(entry_.tensor.name, "\"data_offsets\" has more than two numbers", {}, {});
      offsets_.push_back(value);
      return true;
    }
    return Unexpected(std::to_string(value));
  }

  bool string(std::string& value) {
    if (Skipped()) return true;
    if (state_ == State::kMetadataValue) {
      metadata[key_] = std::move(value);
      state_ = State::kMetadataKey;
      return true;
    }
    if (state_ == State::kType) {
      entry_.tensor.stored_as = std::move(value);
      state_ = State::kField;
      return true;
    }
    return Unexpected("the string " + Quoted(value));
  }

  bool start_object(size_t) {
    if (Entered()) return true;
    if (state_ == State::kStart) {
      state_ = State::kName;
    } else if (state_ == State::kMetadata) {
      state_ = State::kMetadataKey;
    } else if (state_ == State::kEntry) {
      state_ = State::kField;
    } else {
      return Unexpected("an object");
    }
    return true;
  }

  bool key(std::string& key) {
    switch (state_) {
      case State::kName:
        if (!names_.insert(key).second) Fail({}, "the name " + Quoted(key) + " appears twice", {}, {});
        if (key == "__metadata__") {
          state_ = State::kMetadata;
          break;
        }
        CheckName(key);
        entry_ = {};
        entry_.tensor.name = key;
        fields_ = {};
        shape_.clear();
        offsets_.clear();
        state_ = State::kEntry;
        break;
      case State::kMetadataKey:
        if (metadata.contains(key)) Fail("__metadata__", "the key " + Quoted(key) + " appears twice", {}, {});
        key_ = key;
        state_ = State::kMetadataValue;
        break;
      case State::kField:
        if (!fields_.insert(key).second) {
          Fail(entry_.tensor.name, "the field " + Quoted(key) + " appears twice", {}, {});
        }
        if (key == "dtype") {
          state_ = State::kType;
        } else if (key == "shape") {
          state_ = State::kShape;
        } else if (key == "data_offsets") {
          state_ = State::kOffsets;
        } else {
          state_ = State::kUnknownField;  // ignored, as the format's own reader does
        }
        break;
      case State::kUnknownField:
        break;
      default:
        return Unexpected("a key");
    }
    return true;
  }

  bool end_object() {
    if (Left()) return true;
    if (state_ == State::kField) {
      FinishEntry();
      state_ = State::kName;
    } else if (state_ == State::kMetadataKey) {
      state_ = State::kName;
    } else {
      state_ = State::kEnd;
    }
    return true;
  }

  bool start_array(size_t) {
    if (Entered()) return true;
    if (state_ == State::kShape) {
      state_ = State::kShapeItem;
    } else if (state_ == State::kOffsets) {
      state_ = State::kOffsetItem;
    } else {
      return Unexpected("a list");
    }
    return true;
  }

  bool end_array() {
    if (Left()) return true;
    state_ = State::kField;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception&) {
    Fail({}, "the header is not valid JSON at byte " + std::to_string(position ? position - 1 : 0), {}, {});
  }

  [[noreturn]] void Fail(const std::string& tensor, const std::string& what, const std::string& found,
                         const std::string& expected) const {
    const std::string place = tensor.empty() ? where_ : where_ + ": tensor " + Quoted(tensor);
    throw Error({.where = place, .what = what, .found = found, .expected = expected, .hint = kDamagedFileHint});
  }

 private:
  enum class State {
    kStart,
    kName,
    kMetadata,
    kMetadataKey,
    kMetadataValue,
    kEntry,
    kField,
    kType,
    kShape,
    kShapeItem,
    kOffsets,
    kOffsetItem,
    kUnknownField,
    kEnd
  };

  // A value of an unknown field, at any depth.
  bool Skipped() {
    if (state_ != State::kUnknownField) return false;
    if (depth_ == 0) state_ = State::kField;
    return true;
  }
  bool Entered() {
    if (state_ != State::kUnknownField) return false;
    if (++depth_ > kMaxDepth) Fail(entry_.tensor.name, "nested too deeply", {}, {});
    return true;
  }
  bool Left() {
    if (state_ != State::kUnknownField) return false;
    if (--depth_ == 0) state_ = State::kField;
    return true;
  }

  bool Unexpected(const std::string& found) const {
    switch (state_) {
      case State::kStart:
        Fail({}, "the header is not an object", found, "a JSON object");
      case State::kMetadata:
        Fail("__metadata__", "wrong kind of value", found, "an object of strings");
      case State::kMetadataValue:
        Fail("__metadata__", "wrong kind of value for " + Quoted(key_), found, "a string");
      case State::kType:
        Fail(entry_.tensor.name, "wrong kind of value for \"dtype\"", found, "a string");
      case State::kShape:
      case State::kShapeItem:
        Fail(entry_.tensor.name, "wrong kind of value in \"shape\"", found, "a list of non-negative integers");
      case State::kOffsets:
      case State::kOffsetItem:
        Fail(entry_.tensor.name, "wrong kind of value in \"data_offsets\"", found, "two non-negative integers");
      default:
        Fail(entry_.tensor.name, "wrong kind of value", found, "an object with dtype, shape and data_offsets");
    }
  }

  void CheckName(const std::string& name) const {
    if (name.empty()) Fail({}, "a tensor has an empty name", {}, {});
    for (const char c : name) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) Fail(name, "control character in the name", {}, {});
    }
    if (entries.size() == kMaxHeaderTensors)
      Fail({}, "too many tensors", {}, "at most " + std::to_string(kMaxHeaderTensors));
  }

  void FinishEntry() {
    StoredTensor& tensor = entry_.tensor;
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!fields_.contains(field)) Fail(tensor.name, std::string("the field \"") + field + "\" is missing", {}, {});
    }
    const auto type = std::ranges::find(kSafetensorsTypes, std::string_view(tensor.stored_as), &TypeInfo::name);
    if (type == std::end(kSafetensorsTypes))
      Fail(tensor.name, "unknown dtype", Quoted(tensor.stored_as), "F32, F16, BF16, ...");
    tensor.dtype = type->dtype;
    tensor.shape = Shape(std::span<const int64_t>(shape_));

    std::optional<uint64_t> bits = 1;
    for (const int64_t d : shape_) bits = bits ? CheckedMul(*bits, static_cast<uint64_t>(d)) : bits;
    if (bits) bits = CheckedMul(*bits, type->bits);
    if (!bits) Fail(tensor.name, "shape too large", tensor.shape.ToString(), "fewer than 2^63 bits");
    if (*bits % 8 != 0) {
      Fail(tensor.name, "not a whole number of bytes", tensor.shape.ToString() + " of " + tensor.stored_as, {});
    }
    tensor.bytes = *bits / 8;

    if (offsets_.size() != 2) Fail(tensor.name, "\"data_offsets\" needs two numbers", {}, {});
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    const std::string range = "[" + std::to_string(entry_.begin) + ", " + std::to_string(entry_.end) + "]";
    if (entry_.end < entry_.begin) Fail(tensor.name, "\"data_offsets\" are reversed", range, {});
    if (entry_.end - entry_.begin != tensor.bytes) {
      Fail(tensor.name, "\"data_offsets\" disagree with dtype and shape", Counted(entry_.end - entry_.begin, "byte"),
           Counted(tensor.bytes, "byte") + " for " + tensor.shape.ToString() + " of " + tensor.stored_as);
    }
    if (entry_.end > data_bytes_) {
      throw Error({.where = where_ + ": tensor " + Quoted(tensor.name),
                   .what = "the data reaches past the end of the file",
                   .found = Counted(data_bytes_, "byte") + " of data",
                   .expected = "at least " + std::to_string(entry_.end),
                   .hint = "the file is truncated: download or copy it again"});
    }
    entries.push_back(std::move(entry_));
  }

  const std::string& where_;
  const uint64_t data_bytes_;
  State state_ = State::kStart;
  std::set<std::string> names_;
  std::set<std::string> fields_;
  std::string key_;
  Entry entry_;
  std::vector<int64_t> shape_;
  std::vector<uint64_t> offsets_;
  size_t depth_ = 0;  // of objects and lists inside an unknown field
};

}  // namespace

SafetensorsHeader ParseSafetensors(std::span<const std::byte> file, const std::string& where) {
  const auto fail = [&](const std::string& what, const std::string& found, const std::string& expected,
                        const std::string& hint = kDamagedFileHint) {
    throw Error({.where = where, .what = what, .found = found, .expected = expected, .hint = hint});
  };
  const char* const kNotSafetensors = "the file is truncated or is not a safetensors file";
  if (file.size() < 8) {
    fail("too short for a safetensors file", Counted(file.size(), "byte"), "at least 8", kNotSafetensors);
  }
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < 8; ++i) header_bytes |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  if (header_bytes > kMaxHeader) {
    fail("not a safetensors file: impossible header length", Counted(header_bytes, "byte"),
         "at most " + std::to_string(kMaxHeader), kNotSafetensors);
  }
  if (header_bytes > file.size() - 8) {
    fail("the header reaches past the end of the file", Counted(file.size() - 8, "byte"), std::to_string(header_bytes),
         kNotSafetensors);
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, header_bytes);
  if (text.empty() || text.front() != '{') {
    fail("the header does not start with '{'", text.empty() ? "an empty header" : Quoted(text.substr(0, 8)), {},
         kNotSafetensors);
  }
  // The JSON parser stops at a NUL byte and would ignore the rest.
  if (text.find('\0') != std::string_view::npos) fail("NUL byte in the header", {}, "padding with spaces only");
  if (const size_t bad = utf8::FirstInvalid(text); bad != utf8::kValid) {
    fail("the header is not valid UTF-8 at byte " + std::to_string(bad), {}, {});
  }

  const uint64_t data_bytes = file.size() - 8 - header_bytes;
  HeaderReader reader(where, data_bytes);
  Json::sax_parse(text.begin(), text.end(), &reader);

  auto& entries = reader.entries;
  std::ranges::stable_sort(
      entries, [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  SafetensorsHeader header;
  header.data_begin = 8 + header_bytes;
  header.metadata = std::move(reader.metadata);
  header.tensors.reserve(entries.size());
  uint64_t position = 0;
  for (auto& entry : entries) {
    if (entry.begin != position) {
      reader.Fail(entry.tensor.name,
                  entry.begin > position ? "a hole before the data" : "the data overlaps another tensor's",
                  "offset " + std::to_string(entry.begin), "offset " + std::to_string(position));
    }
    position = entry.end;
    entry.tensor.offset = header.data_begin + entry.begin;
    header.tensors.push_back(std::move(entry.tensor));
  }
  if (position != data_bytes) {
    fail("bytes after the last tensor", Counted(data_bytes, "byte") + " of data", std::to_string(position));
  }
  return header;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : map_(path), header_(ParseSafetensors(map_.bytes(), path.string())) {
  for (const StoredTensor& tensor : header_.tensors) by_name_[tensor.name] = &tensor;
}

const StoredTensor* SafetensorsFile::Find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

TensorView SafetensorsFile::Get(std::string_view name) const {
  const StoredTensor* tensor = Find(name);
  if (!tensor) {
    throw Error({.where = map_.path().string(), .what = "no tensor " + Quoted(name), .hint = kDamagedFileHint});
  }
  if (!tensor->dtype) {
    throw Error({.where = map_.path().string() + ": tensor " + Quoted(name),
                 .what = "unsupported dtype",
                 .found = tensor->stored_as,
                 .expected = "F32, F16, BF16 or F64",
                 .hint = "save it again in one of these types"});
  }
  return {map_.bytes().data() + tensor->offset, *tensor->dtype, tensor->shape};
}

}  // namespace stablelm
