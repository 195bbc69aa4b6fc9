#include "base/json_value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace stablelm {

JsonValue::JsonValue(Kind kind) : kind_(kind), unsigned_(0) {}
JsonValue::JsonValue(std::nullptr_t) : JsonValue(Kind::kNull) {}
JsonValue::JsonValue(bool value) : kind_(Kind::kBool), bool_(value) {}
JsonValue::JsonValue(int value) : kind_(Kind::kSigned), signed_(value) {}
JsonValue::JsonValue(long value) : kind_(Kind::kSigned), signed_(value) {}
JsonValue::JsonValue(long long value) : kind_(Kind::kSigned), signed_(value) {}
JsonValue::JsonValue(unsigned value) : kind_(Kind::kUnsigned), unsigned_(value) {}
JsonValue::JsonValue(unsigned long value) : kind_(Kind::kUnsigned), unsigned_(value) {}
JsonValue::JsonValue(unsigned long long value) : kind_(Kind::kUnsigned), unsigned_(value) {}
JsonValue::JsonValue(double value) : kind_(Kind::kReal), real_(value) {}
JsonValue::JsonValue(const char* value) : JsonValue(std::string(value)) {}
JsonValue::JsonValue(std::string_view value) : JsonValue(std::string(value)) {}
JsonValue::JsonValue(std::string value) : kind_(Kind::kText), unsigned_(0), text_(std::move(value)) {}

JsonValue::JsonValue(std::initializer_list<JsonValue> elements) : JsonValue(Kind::kArray) {
  const auto is_member = [](const JsonValue& e) {
    return e.kind_ == Kind::kArray && e.items_.size() == 2 && e.items_[0].IsText();
  };
  if (!std::all_of(elements.begin(), elements.end(), is_member)) {
    items_ = elements;
    return;
  }
  kind_ = Kind::kObject;
  for (const JsonValue& member : elements) (*this)[member.items_[0].text_] = member.items_[1];
}

JsonValue::JsonValue(const JsonValue&) = default;
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(const JsonValue&) = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;
JsonValue::~JsonValue() = default;

JsonValue JsonValue::Array() { return JsonValue(Kind::kArray); }
JsonValue JsonValue::Object() { return JsonValue(Kind::kObject); }

const std::string& JsonValue::Text() const {
  STABLELM_CHECK(kind_ == Kind::kText);
  return text_;
}
uint64_t JsonValue::Whole() const {
  STABLELM_CHECK(kind_ == Kind::kUnsigned || (kind_ == Kind::kSigned && signed_ >= 0));
  return kind_ == Kind::kUnsigned ? unsigned_ : static_cast<uint64_t>(signed_);
}
double JsonValue::Real() const {
  STABLELM_CHECK(kind_ == Kind::kUnsigned || kind_ == Kind::kSigned || kind_ == Kind::kReal);
  return kind_ == Kind::kReal       ? real_
         : kind_ == Kind::kUnsigned ? static_cast<double>(unsigned_)
                                    : static_cast<double>(signed_);
}
bool JsonValue::Bool() const {
  STABLELM_CHECK(kind_ == Kind::kBool);
  return bool_;
}

void JsonValue::push_back(JsonValue value) {
  if (kind_ == Kind::kNull) kind_ = Kind::kArray;
  STABLELM_CHECK(kind_ == Kind::kArray);
  items_.push_back(std::move(value));
}

JsonValue& JsonValue::operator[](std::string_view name) {
  if (kind_ == Kind::kNull) kind_ = Kind::kObject;
  STABLELM_CHECK(kind_ == Kind::kObject);
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found != names_.end()) return items_[static_cast<size_t>(found - names_.begin())];
  names_.emplace_back(name);
  return items_.emplace_back();
}

void JsonValue::Append(std::string_view name, JsonValue value) {
  if (kind_ == Kind::kNull) kind_ = Kind::kObject;
  STABLELM_CHECK(kind_ == Kind::kObject);
  names_.emplace_back(name);
  items_.push_back(std::move(value));
}

bool JsonValue::Contains(std::string_view name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

const JsonValue& JsonValue::At(std::string_view name) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  STABLELM_CHECK(found != names_.end());
  return items_[static_cast<size_t>(found - names_.begin())];
}

void JsonValue::Update(const JsonValue& other) {
  STABLELM_CHECK(other.kind_ == Kind::kObject);
  for (size_t i = 0; i < other.items_.size(); ++i) (*this)[other.names_[i]] = other.items_[i];
}

// The same value as nlohmann's, which writes numbers and escapes.
struct JsonDump {
  using Kind = JsonValue::Kind;
  using Json = nlohmann::ordered_json;

  static Json Of(const JsonValue& value) {
    switch (value.kind_) {
      case Kind::kNull:
        return nullptr;
      case Kind::kBool:
        return value.bool_;
      case Kind::kSigned:
        return value.signed_;
      case Kind::kUnsigned:
        return value.unsigned_;
      case Kind::kReal:
        return value.real_;
      case Kind::kText:
        return value.text_;
      case Kind::kArray: {
        Json array = Json::array();
        auto& items = array.get_ref<Json::array_t&>();
        items.reserve(value.items_.size());
        for (const JsonValue& item : value.items_) items.push_back(Of(item));
        return array;
      }
      case Kind::kObject: {
        Json object = Json::object();
        auto& members = object.get_ref<Json::object_t&>();
        members.reserve(value.items_.size());
        // Names are known to differ: looking each up would take quadratic time.
        Json::object_t::Container& all = members;
        for (size_t i = 0; i < value.items_.size(); ++i) all.emplace_back(value.names_[i], Of(value.items_[i]));
        return object;
      }
    }
    return nullptr;
  }
};

std::string JsonValue::Dump(int indent) const {
  return JsonDump::Of(*this).dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace stablelm
