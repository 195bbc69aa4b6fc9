#include "checkpoint/gguf/gguf_writer.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr size_t kMaxWrittenNameBytes = 63;
constexpr size_t kMaxWrittenDims = 4;

template <typename T>
void Append(T value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void AppendText(std::string_view text, std::string& out) {
  Append(uint64_t{text.size()}, out);
  out.append(text);
}

bool IsKey(std::string_view key) {
  return !key.empty() && key.size() <= 65535 && std::ranges::all_of(key, [](char c) { return c > 0x20 && c < 0x7F; });
}

uint64_t RoundedUp(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

uint64_t AlignmentOf(const GgufMetadata& metadata) {
  for (const auto& [key, bytes] : metadata.entries()) {
    if (key != "general.alignment") continue;
    uint32_t type = 0, value = 0;
    STABLELM_CHECK(bytes.size() == sizeof type + sizeof value);
    std::memcpy(&type, bytes.data(), sizeof type);
    std::memcpy(&value, bytes.data() + sizeof type, sizeof value);
    STABLELM_CHECK(type == static_cast<uint32_t>(GgufType::kU32) && value >= 8 && (value & (value - 1)) == 0);
    return value;
  }
  return kDefaultAlignment;
}

}  // namespace

void GgufMetadata::SetText(std::string_view key, std::string_view text) {
  std::string bytes = Bytes(static_cast<uint32_t>(GgufType::kString));
  AppendText(text, bytes);
  SetEncoded(key, std::move(bytes));
}

void GgufMetadata::SetTexts(std::string_view key, std::span<const std::string> texts) {
  std::string bytes = ArrayHead(GgufType::kString, texts.size());
  for (const std::string& text : texts) AppendText(text, bytes);
  SetEncoded(key, std::move(bytes));
}

void GgufMetadata::Copy(const GgufEntry& entry) {
  SetEncoded(entry.key, {reinterpret_cast<const char*>(entry.encoded.data()), entry.encoded.size()});
}

void GgufMetadata::Remove(std::string_view key) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first == key; });
}

std::optional<std::string> GgufMetadata::Text(std::string_view key) const {
  const auto found = std::ranges::find(entries_, key, &std::pair<std::string, std::string>::first);
  if (found == entries_.end() || !found->second.starts_with(Bytes(static_cast<uint32_t>(GgufType::kString)))) return {};
  return found->second.substr(sizeof(uint32_t) + sizeof(uint64_t));  // skip the type and the length
}

std::string GgufMetadata::ArrayHead(GgufType type, uint64_t size) {
  std::string bytes = Bytes(static_cast<uint32_t>(GgufType::kArray));
  Append(static_cast<uint32_t>(type), bytes);
  Append(size, bytes);
  return bytes;
}

void GgufMetadata::SetEncoded(std::string_view key, std::string bytes) {
  STABLELM_CHECK(IsKey(key));
  for (auto& entry : entries_) {
    if (entry.first != key) continue;
    entry.second = std::move(bytes);
    return;
  }
  entries_.emplace_back(key, std::move(bytes));
}

std::string GgufWriter::Head(const GgufMetadata& metadata) {
  const uint64_t alignment = AlignmentOf(metadata);
  std::string head = "GGUF";
  Append(uint32_t{3}, head);
  Append(uint64_t{tensors_.size()}, head);
  Append(uint64_t{metadata.entries().size()}, head);
  for (const auto& [key, bytes] : metadata.entries()) {
    AppendText(key, head);
    head.append(bytes);
  }
  std::set<std::string_view> names;
  uint64_t offset = 0;
  places_.clear();
  data_bytes_ = 0;
  for (const GgufTensorEntry& tensor : tensors_) {
    const GgufTensorType* type = FindGgufTensorType(tensor.dtype);
    STABLELM_CHECK(type && !tensor.name.empty() && tensor.name.size() <= kMaxWrittenNameBytes);
    STABLELM_CHECK(names.insert(tensor.name).second && tensor.shape.rank() <= kMaxWrittenDims);
    const size_t rank = tensor.shape.rank();
    STABLELM_CHECK((rank == 0 ? 1 : tensor.shape[rank - 1]) % type->block_elements == 0);
    AppendText(tensor.name, head);
    Append(static_cast<uint32_t>(rank), head);
    for (size_t d = rank; d-- > 0;) Append(static_cast<uint64_t>(tensor.shape[d]), head);
    Append(type->number, head);
    Append(offset, head);
    const uint64_t bytes = BytesOf(tensor.dtype, tensor.shape.NumElements());
    places_.push_back({offset, bytes});
    data_bytes_ += bytes;
    offset += RoundedUp(bytes, alignment);
  }
  head.resize(RoundedUp(head.size(), alignment), '\0');
  file_bytes_ = head.size() + offset;
  return head;
}

GgufWriter::GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata,
                       std::vector<GgufTensorEntry> tensors, std::optional<bool> replace)
    : tensors_(std::move(tensors)) {
  const std::string head = Head(metadata);
  data_begin_ = head.size();
  file_ = std::make_unique<AtomicFile>(path, file_bytes_, replace);
  file_->WriteAt(0, std::as_bytes(std::span(head)));
  // Unwritten padding between tensors reads as zeros. Write the padding after the last tensor, so that it exists.
  if (!places_.empty()) {
    const uint64_t end = data_begin_ + places_.back().offset + places_.back().bytes;
    const std::vector<std::byte> zeros(file_bytes_ - end);
    file_->WriteAt(end, zeros);
  }
}

void GgufWriter::ReplaceMetadata(const GgufMetadata& metadata) {
  const std::string head = Head(metadata);
  STABLELM_CHECK(head.size() == data_begin_);
  file_->WriteAt(0, std::as_bytes(std::span(head)));
}

void GgufWriter::WriteAt(size_t tensor, uint64_t offset, std::span<const std::byte> bytes) {
  const Place& place = places_[tensor];
  STABLELM_CHECK(offset <= place.bytes && bytes.size() <= place.bytes - offset);
  file_->WriteAt(data_begin_ + place.offset + offset, bytes);
  written_ += bytes.size();
}

void GgufWriter::Commit() {
  STABLELM_CHECK(written_ == data_bytes_);
  file_->Commit();
}

}  // namespace stablelm
