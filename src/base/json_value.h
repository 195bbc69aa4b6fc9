// JSON to write: a tree of values that keeps the order of its members.
//
// Files are read with nlohmann/json (base/strict_json.h). This type writes because it compiles faster: each file that
// builds objects with nlohmann's templates takes the compiler 2 to 4 s longer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

class JsonValue {
 public:
  JsonValue(std::nullptr_t = nullptr);
  JsonValue(bool value);
  JsonValue(int value);
  JsonValue(long value);
  JsonValue(long long value);
  JsonValue(unsigned value);
  JsonValue(unsigned long value);
  JsonValue(unsigned long long value);
  JsonValue(double value);
  JsonValue(const char* value);
  JsonValue(std::string_view value);
  JsonValue(std::string value);
  // {{"name", value}, ...}: an object when every element is an array of two of which the first is a text, else an
  // array.
  JsonValue(std::initializer_list<JsonValue> elements);
  template <typename T>
  JsonValue(const std::vector<T>& values) : JsonValue(std::span<const T>(values)) {}
  template <typename T>
  JsonValue(std::span<const T> values) : JsonValue(Array()) {
    for (const auto& value : values) push_back(value);
  }
  template <typename T>
  JsonValue(const std::map<std::string, T>& members) : JsonValue(Object()) {
    for (const auto& [name, value] : members) (*this)[name] = value;
  }
  JsonValue(const JsonValue&);
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(const JsonValue&);
  JsonValue& operator=(JsonValue&&) noexcept;
  ~JsonValue();

  static JsonValue Array();
  static JsonValue Object();

  bool IsObject() const { return kind_ == Kind::kObject; }
  bool IsText() const { return kind_ == Kind::kText; }
  // Of a value of that kind.
  const std::string& Text() const;
  uint64_t Whole() const;
  double Real() const;  // of any number
  bool Bool() const;

  // Elements of an array or members of an object. push_back makes null an array, operator[] makes it an object.
  size_t size() const { return items_.size(); }
  JsonValue& back() { return items_.back(); }
  const std::vector<JsonValue>& items() const { return items_; }
  void push_back(JsonValue value);
  // The member `name`, appended as null when the object has none.
  JsonValue& operator[](std::string_view name);
  // Adds a member whose name is new. Unlike operator[] it does not search the names: for large objects.
  void Append(std::string_view name, JsonValue value);
  bool Contains(std::string_view name) const;
  const JsonValue& At(std::string_view name) const;
  const std::vector<std::string>& names() const { return names_; }
  // Sets every member of `other`.
  void Update(const JsonValue& other);

  // On one line, or with `indent` spaces for each level. Bytes that are not UTF-8 become U+FFFD; NaN and infinity
  // become null.
  std::string Dump(int indent = -1) const;

 private:
  enum class Kind : uint8_t { kNull, kBool, kSigned, kUnsigned, kReal, kText, kArray, kObject };
  explicit JsonValue(Kind kind);

  Kind kind_;
  union {
    bool bool_;
    int64_t signed_;
    uint64_t unsigned_;
    double real_;
  };
  std::string text_;
  std::vector<JsonValue> items_;
  std::vector<std::string> names_;  // of an object's members, in the order of items_

  friend struct JsonDump;
};

}  // namespace stablelm
