// A safe reader of the pickles inside PyTorch weight files. It never imports or calls anything: the few names that
// torch.save writes for a state dict become tagged values; any other name or opcode is an error with its offset.
//
// Follows the subset of pickle protocol 2 that torch/_weights_only_unpickler.py accepts. Not supported: framing and
// opcodes of later protocols, arbitrary objects, big integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/dtype.h"

namespace stablelm::pickle {

struct Tuple;
struct List;
struct Dict;
struct Storage;
struct Tensor;

// A global name that a pickle may contain.
struct Global {
  enum class Kind : uint8_t { kOrderedDict, kRebuildTensor, kRebuildParameter, kStorageType };
  Kind kind;
  DType dtype = DType::kF32;   // for kStorageType
  std::string_view type_name;  // "HalfStorage"
};

// None is std::monostate. Strings point into the pickle's bytes; all other pointers point into the Document.
using Value = std::variant<std::monostate, bool, int64_t, double, std::string_view, Global, const Tuple*, List*, Dict*,
                           const Storage*, const Tensor*>;

struct Tuple {
  std::vector<Value> items;
};
struct List {
  std::vector<Value> items;
};
struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order; duplicate keys are kept, the caller must check them
};
// A persistent id: one storage, whose elements are elsewhere in the file. In legacy files a storage may be a view of
// another one.
struct Storage {
  DType dtype;
  std::string_view type_name;
  std::string_view key;
  uint64_t elements;           // of the whole storage
  uint64_t view_offset = 0;    // first element of the view
  uint64_t view_elements = 0;  // == elements if it is not a view
};
// The arguments of torch._utils._rebuild_tensor_v2, not yet checked against the storage.
struct Tensor {
  const Storage* storage;
  uint64_t offset;  // in elements
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  // in elements, same length as sizes
};

// Owns the objects that values point to. Cycles are possible (a list inside itself), so recursive readers must limit
// their depth.
class Document {
 public:
  Value root;
  std::deque<Tuple> tuples;
  std::deque<List> lists;
  std::deque<Dict> dicts;
  std::deque<Storage> storages;
  std::deque<Tensor> tensors;
};

enum class Ids { kNone, kZip, kLegacy };  // form of the persistent ids: not allowed, 5-tuples, 6-tuples

// Reads one pickle from the start of `bytes`, up to and including its STOP. Sets *consumed to its length. `where` names
// the file in errors. `bytes` must outlive the document. Throws Error.
std::unique_ptr<Document> Read(std::span<const std::byte> bytes, Ids ids, const std::string& where, size_t* consumed);

}  // namespace stablelm::pickle
