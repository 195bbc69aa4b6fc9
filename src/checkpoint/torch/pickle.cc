#include "checkpoint/torch/pickle.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/read_error.h"
#include "base/tensor.h"
#include "base/utf8.h"

namespace stablelm::pickle {
namespace {

// Far above any state dict (a model of this family needs about 15,000 operations), and low enough that a hostile file
// cannot make us allocate more than 200 MB.
constexpr size_t kMaxOperations = 2'000'000;
constexpr size_t kMaxObjects = 1'000'000;
constexpr size_t kMaxStack = 1'000'000;
constexpr size_t kMaxMemo = 1'000'000;
constexpr size_t kMaxString = 64 << 10;

struct KnownGlobal {
  std::string_view module;
  std::string_view name;
  Global value;
};
using Kind = Global::Kind;
constexpr KnownGlobal kGlobals[] = {
    {"collections", "OrderedDict", {Kind::kOrderedDict, {}, {}}},
    {"torch._utils", "_rebuild_tensor_v2", {Kind::kRebuildTensor, {}, {}}},
    {"torch._utils", "_rebuild_parameter", {Kind::kRebuildParameter, {}, {}}},
    {"torch", "FloatStorage", {Kind::kStorageType, DType::kF32, "FloatStorage"}},
    {"torch", "HalfStorage", {Kind::kStorageType, DType::kF16, "HalfStorage"}},
    {"torch", "BFloat16Storage", {Kind::kStorageType, DType::kBF16, "BFloat16Storage"}},
    {"torch", "DoubleStorage", {Kind::kStorageType, DType::kF64, "DoubleStorage"}},
    {"torch", "LongStorage", {Kind::kStorageType, DType::kI64, "LongStorage"}},
    {"torch", "IntStorage", {Kind::kStorageType, DType::kI32, "IntStorage"}},
    {"torch", "ShortStorage", {Kind::kStorageType, DType::kI16, "ShortStorage"}},
    {"torch", "CharStorage", {Kind::kStorageType, DType::kI8, "CharStorage"}},
    {"torch", "ByteStorage", {Kind::kStorageType, DType::kU8, "ByteStorage"}},
    {"torch", "BoolStorage", {Kind::kStorageType, DType::kBool, "BoolStorage"}},
};

constexpr const char* kOtherProtocol = "save the weights again, without pickle_protocol: torch.save(state_dict, ...)";

// Modules that a weight file names only if it was made to run code.
constexpr std::string_view kHostile[] = {"os",        "posix",     "nt",     "sys",        "subprocess", "builtins",
                                         "socket",    "importlib", "shutil", "runpy",      "ctypes",     "__builtin__",
                                         "pickle",    "marshal",   "pty",    "webbrowser", "commands",   "operator",
                                         "functools", "asyncio",   "code",   "pdb",        "timeit",     "platform"};

// Names of builtins that only make values.
constexpr std::string_view kMakesValues[] = {"set",   "frozenset", "dict",  "list",      "tuple",
                                             "int",   "float",     "bool",  "complex",   "str",
                                             "bytes", "slice",     "range", "bytearray", "object"};

// Names of the other modules that only make values: schedules of training checkpoints hold them.
constexpr std::pair<std::string_view, std::string_view> kMakesCallables[] = {
    {"functools", "partial"}, {"operator", "itemgetter"}, {"operator", "attrgetter"}};

bool RunsCode(std::string_view module, std::string_view name) {
  const bool builtin = module == "builtins" || module == "__builtin__";
  if (builtin && std::ranges::find(kMakesValues, name) != std::end(kMakesValues)) return false;
  if (std::ranges::find(kMakesCallables, std::pair(module, name)) != std::end(kMakesCallables)) return false;
  return std::ranges::find(kHostile, module.substr(0, module.find('.'))) != std::end(kHostile);
}

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, Ids ids, const std::string& where)
      : bytes_(bytes), ids_(ids), where_(where), document_(std::make_unique<Document>()) {}

  std::unique_ptr<Document> Run(size_t* consumed) {
    for (size_t operations = 0;; ++operations) {
      if (operations == kMaxOperations) Fail("the pickle is too long");
      opcode_at_ = position_;
      const uint8_t opcode = U8();
      if (opcode == '.') break;
      Execute(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) Fail("the pickle ends with a stack of " + std::to_string(stack_.size()));
    document_->root = stack_[0];
    *consumed = position_;
    return std::move(document_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what, const std::string& found = {}, const std::string& expected = {},
                         const std::string& hint = kDamagedFileHint) const {
    throw Error({.where = where_ + ", byte " + std::to_string(opcode_at_),
                 .what = what,
                 .found = found,
                 .expected = expected,
                 .hint = hint});
  }

  // ---- bytes ----
  std::span<const std::byte> Take(uint64_t n) {
    if (n > bytes_.size() - position_) Fail("the pickle is truncated");
    const auto taken = bytes_.subspan(position_, n);
    position_ += n;
    return taken;
  }
  uint64_t Little(size_t n) {
    uint64_t value = 0;
    const auto taken = Take(n);
    for (size_t i = 0; i < n; ++i) value |= std::to_integer<uint64_t>(taken[i]) << (8 * i);
    return value;
  }
  uint8_t U8() { return static_cast<uint8_t>(Little(1)); }
  std::string_view Text(uint64_t n) {
    if (n > kMaxString) Fail("string too long", std::to_string(n) + " bytes", "at most " + std::to_string(kMaxString));
    const auto taken = Take(n);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  std::string_view Line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_, bytes_.size() - position_);
    const size_t end = rest.substr(0, kMaxString + 1).find('\n');
    if (end == std::string_view::npos) Fail("the pickle is truncated");
    position_ += end + 1;
    return rest.substr(0, end);
  }

  // ---- stack ----
  void Push(Value value) {
    if (stack_.size() == kMaxStack) Fail("the pickle's stack is too deep");
    stack_.push_back(value);
  }
  size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Value Pop() {
    if (stack_.size() <= Floor()) Fail("stack underflow in the pickle");
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }
  const Value& Top() const {
    if (stack_.size() <= Floor()) Fail("stack underflow in the pickle");
    return stack_.back();
  }
  // Pops all items above the last mark.
  std::vector<Value> PopToMark() {
    if (marks_.empty()) Fail("stack underflow in the pickle: no mark");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Value> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }
  template <typename T>
  T Expect(const Value& value, const char* what) const {
    if (const T* typed = std::get_if<T>(&value)) return *typed;
    Fail(std::string("wrong kind of value in the pickle"), {}, what);
  }

  // ---- objects ----
  template <typename T>
  T* Make(std::deque<T>& store, T object) {
    if (objects_++ == kMaxObjects) Fail("too many objects in the pickle");
    store.push_back(std::move(object));
    return &store.back();
  }
  void PushTuple(std::vector<Value> items) { Push(Make(document_->tuples, Tuple{std::move(items)})); }
  void PushShortTuple(size_t n) {
    std::vector<Value> items(n);
    for (size_t i = n; i-- > 0;) items[i] = Pop();
    PushTuple(std::move(items));
  }
  void SetItems(const std::vector<Value>& pairs) {
    if (pairs.size() % 2 != 0) Fail("a key without a value in the pickle");
    Dict* dict = Expect<Dict*>(Top(), "a dict");
    for (size_t i = 0; i < pairs.size(); i += 2) dict->items.emplace_back(pairs[i], pairs[i + 1]);
  }
  void Memoize(uint64_t key) {
    const Value value = Top();
    if (memo_.size() == kMaxMemo && !memo_.contains(key)) Fail("too many memo entries in the pickle");
    memo_[key] = value;
  }
  void Recall(uint64_t key) {
    const auto it = memo_.find(key);
    if (it == memo_.end()) Fail("the pickle reads a memo entry that was never written", std::to_string(key));
    Push(it->second);
  }

  Value FindGlobal(std::string_view module, std::string_view name) const {
    for (const KnownGlobal& known : kGlobals) {
      if (known.module == module && known.name == name) return known.value;
    }
    const std::string full = Quoted(std::string(module) + "." + std::string(name));
    if (RunsCode(module, name)) {
      Fail("HOSTILE FILE: its pickle names " + full + ", which runs code when Python loads it", {}, {},
           "nothing was run here; do not open this file with Python, and tell whoever offers it");
    }
    Fail("the pickle names " + full, {}, "names of tensors and storages only",
         "this program reads state dicts of weights and runs nothing that a pickle names: save the weights alone, with "
         "model.save_pretrained() or torch.save(model.state_dict(), ...)");
  }

  uint64_t Natural(const Value& value, const char* what) const {
    const auto n = Expect<int64_t>(value, what);
    if (n < 0) Fail(std::string("negative number in the pickle"), std::to_string(n), what);
    return static_cast<uint64_t>(n);
  }

  // ("storage", type, key, location, elements[, view]): torch.serialization's persistent ids.
  void PersistentId() {
    const Tuple* id = Expect<const Tuple*>(Pop(), "a tuple as persistent id");
    const size_t want = ids_ == Ids::kZip ? 5 : 6;
    if (ids_ == Ids::kNone) Fail("unexpected persistent id in the pickle");
    if (id->items.size() != want) {
      Fail("bad persistent id", std::to_string(id->items.size()) + " items", std::to_string(want));
    }
    if (Expect<std::string_view>(id->items[0], "the word storage") != "storage") {
      Fail("bad persistent id", {}, "the word storage");
    }
    const auto type = Expect<Global>(id->items[1], "a storage type");
    if (type.kind != Kind::kStorageType) Fail("bad persistent id", {}, "a storage type");
    Storage storage{type.dtype, type.type_name, Expect<std::string_view>(id->items[2], "a storage key"),
                    Natural(id->items[4], "a number of elements")};
    Expect<std::string_view>(id->items[3], "a device name");
    storage.view_elements = storage.elements;
    if (want == 6 && !std::holds_alternative<std::monostate>(id->items[5])) {
      const Tuple* view = Expect<const Tuple*>(id->items[5], "None or a view of a storage");
      if (view->items.size() != 3) Fail("bad view of a storage");
      Expect<std::string_view>(view->items[0], "the key of a view");
      storage.view_offset = Natural(view->items[1], "the offset of a view");
      storage.view_elements = Natural(view->items[2], "the size of a view");
      if (storage.view_offset > storage.elements || storage.view_elements > storage.elements - storage.view_offset) {
        Fail("a view reaches outside its storage");
      }
    }
    Push(Make(document_->storages, storage));
  }

  std::vector<int64_t> Sizes(const Value& value, const char* what) const {
    const Tuple* tuple = Expect<const Tuple*>(value, what);
    if (tuple->items.size() > Shape::kMaxRank) {
      Fail("too many dimensions", std::to_string(tuple->items.size()), "at most " + std::to_string(Shape::kMaxRank));
    }
    std::vector<int64_t> sizes;
    for (const Value& item : tuple->items) sizes.push_back(static_cast<int64_t>(Natural(item, what)));
    return sizes;
  }

  // Python would call a function here; we implement the few known ones.
  void Reduce() {
    const Tuple* arguments = Expect<const Tuple*>(Pop(), "a tuple of arguments");
    const Global function = Expect<Global>(Pop(), "a name from the list of known ones");
    const std::vector<Value>& a = arguments->items;
    switch (function.kind) {
      case Kind::kOrderedDict:
        if (!a.empty()) Fail("OrderedDict with arguments", std::to_string(a.size()), "none");
        Push(Make(document_->dicts, Dict{}));
        break;
      case Kind::kRebuildTensor: {
        if (a.size() != 6 && a.size() != 7) {
          Fail("bad tensor in the pickle", std::to_string(a.size()) + " arguments", "6 or 7");
        }
        Tensor tensor{Expect<const Storage*>(a[0], "a storage"), Natural(a[1], "an offset"), Sizes(a[2], "sizes"),
                      Sizes(a[3], "strides")};
        if (tensor.sizes.size() != tensor.strides.size()) {
          Fail("bad tensor in the pickle", std::to_string(tensor.strides.size()) + " strides",
               std::to_string(tensor.sizes.size()));
        }
        Push(Make(document_->tensors, std::move(tensor)));
        break;
      }
      case Kind::kRebuildParameter:
        if (a.size() != 3) Fail("bad parameter in the pickle", std::to_string(a.size()) + " arguments", "3");
        Push(Expect<const Tensor*>(a[0], "a tensor"));
        break;
      case Kind::kStorageType:
        Fail("the pickle calls the storage type " + std::string(function.type_name));
    }
  }

  void NewObject() {
    const Tuple* arguments = Expect<const Tuple*>(Pop(), "a tuple of arguments");
    const Global type = Expect<Global>(Pop(), "a name from the list of known ones");
    if (type.kind != Kind::kOrderedDict || !arguments->items.empty()) Fail("the pickle makes an unknown object");
    Push(Make(document_->dicts, Dict{}));
  }

  void Execute(uint8_t opcode) {
    switch (opcode) {
      case 0x80: {  // PROTO
        const uint8_t protocol = U8();
        if (protocol < 2 || protocol > 4) {
          Fail("unsupported pickle protocol", std::to_string(protocol), "2, as torch.save writes", kOtherProtocol);
        }
        break;
      }
      case '(':  // MARK
        if (marks_.size() == kMaxStack) Fail("the pickle's stack is too deep");
        marks_.push_back(stack_.size());
        break;
      case 'N':
        Push(std::monostate{});
        break;
      case 0x88:
        Push(true);
        break;
      case 0x89:
        Push(false);
        break;
      case 'J':
        Push(int64_t{static_cast<int32_t>(static_cast<uint32_t>(Little(4)))});
        break;
      case 'K':
        Push(static_cast<int64_t>(Little(1)));
        break;
      case 'M':
        Push(static_cast<int64_t>(Little(2)));
        break;
      case 0x8A: {  // LONG1: little-endian two's complement of the given length
        const size_t n = U8();
        if (n > 8) Fail("integer too large in the pickle", std::to_string(n) + " bytes", "at most 8");
        uint64_t value = Little(n);
        if (n > 0 && n < 8 && (value >> (8 * n - 1)) != 0) value |= ~uint64_t{0} << (8 * n);
        Push(static_cast<int64_t>(value));
        break;
      }
      case 'G': {  // BINFLOAT, big-endian
        uint64_t bits = 0;
        for (const std::byte b : Take(8)) bits = bits << 8 | std::to_integer<uint64_t>(b);
        Push(std::bit_cast<double>(bits));
        break;
      }
      case 'X': {  // BINUNICODE
        const std::string_view text = Text(Little(4));
        if (utf8::FirstInvalid(text) != utf8::kValid) Fail("a string of the pickle is not valid UTF-8");
        Push(text);
        break;
      }
      case 'U':  // SHORT_BINSTRING
        Push(Text(U8()));
        break;
      case ')':
        PushTuple({});
        break;
      case 't':
        PushTuple(PopToMark());
        break;
      case 0x85:
      case 0x86:
      case 0x87:
        PushShortTuple(opcode - 0x84u);
        break;
      case ']':
      case 0x8F:  // EMPTY_SET: read as a list, nothing uses it
        Push(Make(document_->lists, List{}));
        break;
      case 'a': {  // APPEND
        const Value value = Pop();
        Expect<List*>(Top(), "a list")->items.push_back(value);
        break;
      }
      case 'e': {  // APPENDS
        const std::vector<Value> items = PopToMark();
        List* list = Expect<List*>(Top(), "a list");
        list->items.insert(list->items.end(), items.begin(), items.end());
        break;
      }
      case '}':
        Push(Make(document_->dicts, Dict{}));
        break;
      case 's': {  // SETITEM
        const Value value = Pop();
        const Value key = Pop();
        SetItems({key, value});
        break;
      }
      case 'u':  // SETITEMS
        SetItems(PopToMark());
        break;
      case 'h':
        Recall(Little(1));
        break;
      case 'j':
        Recall(Little(4));
        break;
      case 'q':
        Memoize(Little(1));
        break;
      case 'r':
        Memoize(Little(4));
        break;
      case 'c': {
        const std::string_view module = Line();
        const std::string_view name = Line();
        Push(FindGlobal(module, name));
        break;
      }
      case 0x81:
        NewObject();
        break;
      case 'R':
        Reduce();
        break;
      case 'b':  // BUILD: torch attaches _metadata to the OrderedDict; ignored
        Pop();
        Expect<Dict*>(Top(), "an OrderedDict");
        break;
      case 'Q':
        PersistentId();
        break;
      default: {
        char text[16];
        std::snprintf(text, sizeof text, "0x%02X", opcode);
        Fail("the pickle uses an operation that weight files do not need", text, "the operations of protocol 2",
             kOtherProtocol);
      }
    }
  }

  const std::span<const std::byte> bytes_;
  const Ids ids_;
  const std::string& where_;
  std::unique_ptr<Document> document_;
  size_t position_ = 0;
  size_t opcode_at_ = 0;
  size_t objects_ = 0;
  std::vector<Value> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, Value> memo_;
};

}  // namespace

std::unique_ptr<Document> Read(std::span<const std::byte> bytes, Ids ids, const std::string& where, size_t* consumed) {
  return Machine(bytes, ids, where).Run(consumed);
}

}  // namespace stablelm::pickle
