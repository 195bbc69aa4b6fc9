#include "checkpoint/torch/torch_file.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "base/counted.h"
#include "base/error.h"
#include "base/read_error.h"
#include "checkpoint/torch/pickle.h"
#include "checkpoint/torch/zip_directory.h"

namespace stablelm {
namespace {

constexpr uint64_t kMaxPickle = uint64_t{256} << 20;
constexpr size_t kMaxDictTensors = 100'000;
constexpr size_t kMaxSmallMember = 64;
// An expanded tensor (stride 0), such as a mask, repeats what it stores: a small file could request any amount of
// memory.
constexpr uint64_t kMaxExpanded = uint64_t{64} << 20;

// PROTO 2, LONG1 of ten bytes: 0x1950A86A20F9469CFC6C, STOP.
constexpr unsigned char kLegacyMagic[] = {0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46,
                                          0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E};

// Location of a storage's elements in the file.
struct Extent {
  DType dtype;
  uint64_t offset;
  uint64_t elements;
};
using Extents = std::map<std::string_view, Extent>;

[[noreturn]] void FailPickle(const std::string& where, const std::string& what, const std::string& found = {},
                             const std::string& expected = {}, const std::string& hint = kDamagedFileHint) {
  throw Error({.where = where, .what = what, .found = found, .expected = expected, .hint = hint});
}

const char* const kDamaged = "the file is truncated or damaged: download or copy it again";
const char* const kSaveAgain =
    "save the weights alone, with model.save_pretrained() or torch.save(model.state_dict(), ...)";

bool IsDecimal(std::string_view text) {
  return !text.empty() && text.size() <= 20 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Every storage of the document by its key. A key must always have the same type and size.
std::map<std::string_view, const pickle::Storage*> Storages(const pickle::Document& document,
                                                            const std::string& where) {
  std::map<std::string_view, const pickle::Storage*> storages;
  for (const pickle::Storage& storage : document.storages) {
    if (!IsDecimal(storage.key))
      FailPickle(where, "bad storage key in the pickle", Quoted(storage.key), "a decimal number");
    const auto [it, added] = storages.emplace(storage.key, &storage);
    if (!added && (it->second->dtype != storage.dtype || it->second->elements != storage.elements)) {
      FailPickle(where, "the storage " + Quoted(storage.key) + " has two types or sizes");
    }
  }
  return storages;
}

uint64_t StorageBytes(const pickle::Storage& storage, const std::string& where) {
  const std::optional<uint64_t> bytes = CheckedMul(storage.elements, BytesOf(storage.dtype));
  if (!bytes)
    FailPickle(where, "impossible size of the storage " + Quoted(storage.key), std::to_string(storage.elements));
  return *bytes;
}

StoredTensor Locate(std::string_view name, const pickle::Tensor& tensor, const Extents& extents,
                    const std::string& where) {
  const std::string place = where + ": tensor " + Quoted(name);
  const pickle::Storage& storage = *tensor.storage;
  const auto extent = extents.find(storage.key);
  if (extent == extents.end()) FailPickle(place, "its storage " + Quoted(storage.key) + " is not in the file");

  StoredTensor stored;
  stored.name = name;
  stored.stored_as = storage.type_name;
  stored.dtype = storage.dtype;
  stored.shape = Shape(std::span<const int64_t>(tensor.sizes));
  std::optional<uint64_t> bytes = BytesOf(storage.dtype);
  for (const int64_t size : tensor.sizes) {
    if (bytes) bytes = CheckedMul(*bytes, static_cast<uint64_t>(size));
  }
  if (!bytes) FailPickle(place, "shape too large", stored.shape.ToString(), "fewer than 2^63 bytes");
  stored.bytes = *bytes;

  // The last element must lie inside the storage: offset + sum of (size - 1) * stride.
  std::optional<uint64_t> last = tensor.offset;
  uint64_t packed = 1;  // stride of this dimension in C order
  bool contiguous = true;
  if (stored.bytes > 0) {
    for (size_t k = tensor.sizes.size(); k-- > 0;) {
      const auto size = static_cast<uint64_t>(tensor.sizes[k]), stride = static_cast<uint64_t>(tensor.strides[k]);
      const std::optional<uint64_t> reach = CheckedMul(size - 1, stride);
      last = last && reach ? CheckedAdd(*last, *reach) : std::nullopt;
      contiguous &= size == 1 || stride == packed;
      packed *= size;
    }
    if (!last || *last >= storage.view_elements) {
      FailPickle(place, "the tensor reaches outside its storage",
                 stored.shape.ToString() + " at " + std::to_string(tensor.offset),
                 "inside " + Counted(storage.view_elements, "element"));
    }
    if (packed > storage.view_elements && stored.bytes > kMaxExpanded) {
      FailPickle(place, "the tensor has more elements than its storage", stored.shape.ToString(),
                 "at most " + std::to_string(storage.view_elements) + " elements, or 64 MiB", kSaveAgain);
    }
    stored.offset = extent->second.offset + (storage.view_offset + tensor.offset) * BytesOf(storage.dtype);
  } else {
    stored.offset = extent->second.offset;
  }
  if (!contiguous) stored.strides = tensor.strides;
  return stored;
}

// The map of names to tensors: the root itself, or wrapped as in a training checkpoint.
const pickle::Dict& StateDict(const pickle::Document& document, const std::string& where) {
  const auto* root = std::get_if<pickle::Dict*>(&document.root);
  if (!root) FailPickle(where, "not a state dict", {}, "a map of names to tensors", kSaveAgain);
  for (const auto& [key, value] : (*root)->items) {
    const auto* name = std::get_if<std::string_view>(&key);
    const auto* inner = std::get_if<pickle::Dict*>(&value);
    if (name && inner && (*name == "state_dict" || *name == "module" || *name == "model")) return **inner;
  }
  return **root;
}

std::vector<StoredTensor> Tensors(const pickle::Document& document, const Extents& extents, const std::string& where) {
  const pickle::Dict& dict = StateDict(document, where);
  if (dict.items.size() > kMaxDictTensors) {
    FailPickle(where, "too many tensors", std::to_string(dict.items.size()),
               "at most " + std::to_string(kMaxDictTensors));
  }
  std::vector<StoredTensor> tensors;
  std::set<std::string_view> names;
  for (const auto& [key, value] : dict.items) {
    const auto* name = std::get_if<std::string_view>(&key);
    if (!name || name->empty()) FailPickle(where, "not a state dict: a key is not a name");
    const auto* tensor = std::get_if<const pickle::Tensor*>(&value);
    if (!tensor) continue;  // an epoch, settings
    if (!names.insert(*name).second) FailPickle(where, "the tensor " + Quoted(*name) + " appears twice");
    tensors.push_back(Locate(*name, **tensor, extents, where));
  }
  if (tensors.empty() && !dict.items.empty()) {
    const auto* first = std::get_if<std::string_view>(&dict.items[0].first);
    FailPickle(where, "not a state dict: no tensor in it", first ? "the key " + Quoted(*first, 60) : "",
               "names and tensors, alone or below \"state_dict\", \"module\" or \"model\"", kSaveAgain);
  }
  return tensors;
}

// ---- zip ----

class ZipContainer {
 public:
  ZipContainer(std::span<const std::byte> file, const std::string& where)
      : file_(file), where_(where), members_(ReadZipDirectory(file, where)) {
    for (const ZipMember& member : members_) {
      const size_t slash = member.name.find('/');
      const std::string_view name = member.name;
      if (slash != std::string::npos && name.substr(slash) == "/data.pkl") {
        if (!top_.empty()) FailPickle(where_, "two data.pkl in the zip archive", Quoted(top_), {});
        top_ = name.substr(0, slash + 1);
      }
    }
    if (top_.empty()) FailPickle(where_, "a zip archive, but not of PyTorch: no data.pkl inside");
    for (const ZipMember& member : members_) {
      std::string_view name = member.name;
      if (!name.starts_with(top_))
        FailPickle(where_, "unexpected zip member", Quoted(name), "names below " + Quoted(top_));
      name.remove_prefix(top_.size());
      if (name == "constants.pkl" || name.starts_with("code/")) {
        FailPickle(where_, "a TorchScript program, not weights: it has " + Quoted(member.name), {}, {},
                   "take the weights as saved by save_pretrained or torch.save");
      }
      by_name_.emplace(name, &member);
    }
  }

  const std::vector<ZipMember>& members() const { return members_; }

  TorchFile Read() const {
    const std::string_view version = Small("version", true);
    if (!IsDecimal(version)) FailPickle(where_, "bad version of the container", Quoted(version), "a number");
    if (const std::string_view order = Small("byteorder", false); !order.empty() && order != "little") {
      FailPickle(where_, "unsupported byte order", Quoted(order), "\"little\"");
    }
    const ZipMember& data = *by_name_.at("data.pkl");
    if (data.size > kMaxPickle) {
      FailPickle(where_, "data.pkl is too large", std::to_string(data.size), "at most " + std::to_string(kMaxPickle));
    }
    CheckZipMember(file_, data, where_);
    size_t consumed = 0;
    const auto document =
        pickle::Read(file_.subspan(data.offset, data.size), pickle::Ids::kZip, where_ + ": data.pkl", &consumed);
    if (consumed != data.size) FailPickle(where_, "bytes after the end of data.pkl");
    Extents extents;
    for (const auto& [key, storage] : Storages(*document, where_)) {
      const auto it = by_name_.find("data/" + std::string(key));
      if (it == by_name_.end()) FailPickle(where_, "the storage " + Quoted(key) + " is missing");
      const uint64_t bytes = StorageBytes(*storage, where_);
      if (it->second->size != bytes) {
        FailPickle(where_, "wrong size of the storage " + Quoted(key), Counted(it->second->size, "byte"),
                   std::to_string(bytes));
      }
      extents[key] = {storage->dtype, it->second->offset, storage->elements};
    }
    return {false, Tensors(*document, extents, where_)};
  }

 private:
  // Text of a small member, without trailing white space; checks its CRC.
  std::string_view Small(const char* name, bool required) const {
    const auto it = by_name_.find(name);
    if (it == by_name_.end()) {
      if (required) FailPickle(where_, std::string("no member ") + name + " in the zip archive");
      return {};
    }
    const ZipMember& member = *it->second;
    if (member.size > kMaxSmallMember) FailPickle(where_, "unexpected size of the zip member " + Quoted(member.name));
    CheckZipMember(file_, member, where_);
    std::string_view text(reinterpret_cast<const char*>(file_.data()) + member.offset, member.size);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    return text;
  }

  const std::span<const std::byte> file_;
  const std::string& where_;
  const std::vector<ZipMember> members_;
  std::string_view top_;  // "archive/"
  std::map<std::string, const ZipMember*, std::less<>> by_name_;
};

// ---- legacy ----

TorchFile ReadLegacy(std::span<const std::byte> file, const std::string& where) {
  uint64_t position = sizeof kLegacyMagic;
  const auto next = [&](pickle::Ids ids, const char* what) {
    size_t consumed = 0;
    const auto limited = file.subspan(position, std::min<uint64_t>(file.size() - position, kMaxPickle));
    auto document = pickle::Read(limited, ids, where + ": " + what, &consumed);
    position += consumed;
    return document;
  };
  const auto protocol = next(pickle::Ids::kNone, "protocol");
  const auto* number = std::get_if<int64_t>(&protocol->root);
  if (!number || *number != 1001) {
    FailPickle(where, "unsupported protocol of a legacy file", number ? std::to_string(*number) : "", "1001");
  }
  const auto system = next(pickle::Ids::kNone, "system information");
  const auto* facts = std::get_if<pickle::Dict*>(&system->root);
  if (!facts) FailPickle(where, "bad system information of a legacy file");
  for (const auto& [key, value] : (*facts)->items) {
    const auto* name = std::get_if<std::string_view>(&key);
    const auto* little = std::get_if<bool>(&value);
    if (name && *name == "little_endian" && !(little && *little))
      FailPickle(where, "unsupported byte order", {}, "little");
  }
  const auto document = next(pickle::Ids::kLegacy, "state dict");
  const auto list = next(pickle::Ids::kNone, "storage list");
  const auto* keys = std::get_if<pickle::List*>(&list->root);
  if (!keys) FailPickle(where, "bad list of storages of a legacy file");

  const auto storages = Storages(*document, where);
  Extents extents;
  for (const pickle::Value& item : (*keys)->items) {
    const auto* key = std::get_if<std::string_view>(&item);
    const auto storage = key ? storages.find(*key) : storages.end();
    if (storage == storages.end()) FailPickle(where, "the list of storages names one that no tensor uses");
    if (file.size() - position < 8) FailPickle(where, "the storages reach past the end of the file", {}, {}, kDamaged);
    uint64_t elements = 0;
    for (size_t i = 0; i < 8; ++i) elements |= std::to_integer<uint64_t>(file[position + i]) << (8 * i);
    position += 8;
    if (elements != storage->second->elements) {
      FailPickle(where, "wrong size of the storage " + Quoted(*key), Counted(elements, "element"),
                 std::to_string(storage->second->elements));
    }
    const uint64_t bytes = StorageBytes(*storage->second, where);
    if (bytes > file.size() - position)
      FailPickle(where, "the storages reach past the end of the file", {}, {}, kDamaged);
    if (!extents.emplace(storage->first, Extent{storage->second->dtype, position, elements}).second) {
      FailPickle(where, "the storage " + Quoted(*key) + " appears twice");
    }
    position += bytes;
  }
  if (position != file.size())
    FailPickle(where, "bytes after the last storage", std::to_string(file.size() - position));
  return {true, Tensors(*document, extents, where)};
}

bool StartsWith(std::span<const std::byte> file, std::span<const unsigned char> magic) {
  return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

TorchFile ParseTorchFile(std::span<const std::byte> file, const std::string& where) {
  constexpr unsigned char kZip[] = {'P', 'K', 3, 4};
  if (StartsWith(file, kZip)) return ZipContainer(file, where).Read();
  if (StartsWith(file, kLegacyMagic)) return ReadLegacy(file, where);
  if (file.size() >= 512 && std::memcmp(file.data() + 257, "ustar", 5) == 0) {
    FailPickle(where, "the tar container of very old PyTorch is not supported", {}, {},
               "load and save the file once with a PyTorch from 0.4 to now");
  }
  if (file.empty()) FailPickle(where, "the file is empty", {}, "a PyTorch weight file", kDamaged);
  const std::string_view head(reinterpret_cast<const char*>(file.data()), std::min<size_t>(file.size(), 16));
  FailPickle(where, "not a PyTorch weight file", "a file that begins with " + Quoted(head),
             "a zip archive or a legacy file of torch.save", kDamaged);
}

void CheckTorchStorages(std::span<const std::byte> file, const std::string& where,
                        const std::function<void(size_t)>& on_bytes) {
  if (file.size() < 4 || std::memcmp(file.data(), "PK", 2) != 0) return;
  const ZipContainer container(file, where);
  for (const ZipMember& member : container.members()) {
    CheckZipMember(file, member, where);
    if (on_bytes) on_bytes(member.size);
  }
}

}  // namespace stablelm
