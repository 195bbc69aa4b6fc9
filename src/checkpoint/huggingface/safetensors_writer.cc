#include "checkpoint/huggingface/safetensors_writer.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/json_value.h"

namespace stablelm {
namespace {

const char* SafetensorsName(DType type) {
  switch (type) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    case DType::kBF16:
      return "BF16";
    case DType::kF64:
      return "F64";
    case DType::kI64:
      return "I64";
    case DType::kI32:
      return "I32";
    case DType::kI16:
      return "I16";
    case DType::kI8:
      return "I8";
    case DType::kU8:
      return "U8";
    case DType::kBool:
      return "BOOL";
    default:
      STABLELM_CHECK(false);  // the format has no quantized types
  }
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, const std::vector<SafetensorsEntry>& entries,
                                     const std::map<std::string, std::string>& metadata,
                                     const std::filesystem::path& shown) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) {
    const size_t size_a = BytesOf(entries[a].dtype), size_b = BytesOf(entries[b].dtype);
    return size_a != size_b ? size_a > size_b : entries[a].name < entries[b].name;
  });

  JsonValue header = JsonValue::Object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  places_.resize(entries.size());
  for (const size_t i : order) {
    const SafetensorsEntry& entry = entries[i];
    STABLELM_CHECK(!entry.name.empty() && !header.Contains(entry.name));
    const uint64_t begin = data_bytes_;
    places_[i].bytes = static_cast<uint64_t>(entry.shape.NumElements()) * BytesOf(entry.dtype);
    places_[i].offset = begin;
    data_bytes_ += places_[i].bytes;
    header[entry.name] = {
        {"dtype", SafetensorsName(entry.dtype)}, {"shape", entry.shape.dims()}, {"data_offsets", {begin, data_bytes_}}};
  }
  std::string text = header.Dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t data_begin = 8 + text.size();
  for (Place& place : places_) place.offset += data_begin;

  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xFF);
  file_ = std::make_unique<AtomicFile>(path, data_begin + data_bytes_, std::nullopt, shown);
  file_->Write(length + text);
}

void SafetensorsWriter::WriteAt(size_t entry, uint64_t offset, std::span<const std::byte> bytes) {
  const Place& place = places_[entry];
  STABLELM_CHECK(offset <= place.bytes && bytes.size() <= place.bytes - offset);
  file_->WriteAt(place.offset + offset, bytes);
  written_ += bytes.size();
}

void SafetensorsWriter::Commit() {
  STABLELM_CHECK(written_ == data_bytes_);
  file_->Commit();
}

}  // namespace stablelm
