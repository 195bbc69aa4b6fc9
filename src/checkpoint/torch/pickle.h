// A closed reader of the pickles inside PyTorch weight files. Nothing is ever imported or called: the handful of names
// that torch.save writes for a state dict become tagged values here, every other name and opcode is refused with its
// place.
//
// Follows the subset of pickle protocol 2 that torch/_weights_only_unpickler.py accepts. What it does not do: framing
// and opcodes of later protocols, arbitrary objects, big integers.
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

// A name that a pickle may mention.
struct Global {
  enum class Kind : uint8_t { kOrderedDict, kRebuildTensor, kRebuildParameter, kStorageType };
  Kind kind;
  DType dtype = DType::kF32;   // of a storage type
  std::string_view type_name;  // "HalfStorage"
};

// None is std::monostate. Strings point into the pickle's bytes; the rest points into the Document.
using Value = std::variant<std::monostate, bool, int64_t, double, std::string_view, Global, const Tuple*, List*, Dict*,
                           const Storage*, const Tensor*>;

struct Tuple {
  std::vector<Value> items;
};
struct List {
  std::vector<Value> items;
};
struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order; repeated keys are kept, the user of the dict judges
};
// A persistent id: the elements of one storage, which lie elsewhere in the file. In old files a storage may be a view
// of another one.
struct Storage {
  DType dtype;
  std::string_view type_name;
  std::string_view key;
  uint64_t elements;           // of the whole storage
  uint64_t view_offset = 0;    // first element of the view
  uint64_t view_elements = 0;  // == elements when it is no view
};
// The arguments of torch._utils._rebuild_tensor_v2: not yet compared with the storage.
struct Tensor {
  const Storage* storage;
  uint64_t offset;  // in elements
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  // in elements, as many as sizes
};

// Owns what the values point to. Cycles are possible (a list inside itself): walkers need their own limits.
class Document {
 public:
  Value root;
  std::deque<Tuple> tuples;
  std::deque<List> lists;
  std::deque<Dict> dicts;
  std::deque<Storage> storages;
  std::deque<Tensor> tensors;
};

enum class Ids { kNone, kZip, kLegacy };  // the form of persistent ids: refused, 5-tuples, 6-tuples

// Reads one pickle from the front of `bytes`, up to and including its STOP; *consumed is its length. `where` names the
// place in errors. `bytes` must outlive the document. Throws Error.
std::unique_ptr<Document> Read(std::span<const std::byte> bytes, Ids ids, const std::string& where, size_t* consumed);

}  // namespace stablelm::pickle
