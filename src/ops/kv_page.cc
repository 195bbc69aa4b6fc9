#include "ops/kv_page.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "ops/quantized_rows.h"

namespace stablelm {
namespace {

// Where the elements of one vector lie in a page.
struct Place {
  int64_t offset = 0, stride = 0;
  bool key = false;
};
Place KeyPlace(const KvLayout& layout, int64_t head, int64_t slot) {
  return {.offset = layout.KeyOffset(head) + slot, .stride = kKvPageTokens, .key = true};
}
Place ValuePlace(const KvLayout& layout, int64_t head, int64_t slot) {
  return {.offset = layout.ValueOffset(head) + slot * layout.padded_dim(), .stride = 1, .key = false};
}

bool Write(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const Place& place, const float* x) {
  const int64_t dims = layout.head_dim, padded = layout.padded_dim();
  const auto at = [&](auto* elements, int64_t i) -> auto& { return elements[place.offset + i * place.stride]; };
  bool fits = true;
  switch (layout.dtype) {
    case DType::kF32:
      for (int64_t i = 0; i < padded; ++i) at(reinterpret_cast<float*>(page), i) = i < dims ? x[i] : 0.0f;
      return true;
    case DType::kF16:
      for (int64_t i = 0; i < padded; ++i) {
        at(reinterpret_cast<F16*>(page), i) = ToF16(i < dims ? x[i] : 0.0f);
        // 65520 and above round to infinity; what was infinite or NaN before is found elsewhere.
        if (i < dims) fits &= !(std::abs(x[i]) >= 65520.0f && std::isfinite(x[i]));
      }
      return fits;
    case DType::kI8: {
      std::vector<int8_t> q(static_cast<size_t>(padded), int8_t{0});
      float* const scales = place.key ? layout.KeyScales(page, head) : layout.ValueScales(page, head);
      QuantizeBlockRef(x, static_cast<size_t>(dims), q.data(), scales + slot);
      for (int64_t i = 0; i < padded; ++i) at(reinterpret_cast<int8_t*>(page), i) = q[static_cast<size_t>(i)];
      return true;
    }
    default:
      STABLELM_CHECK(false);
  }
}

void Read(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, const Place& place, float* x) {
  const auto at = [&](const auto* elements, int64_t i) { return elements[place.offset + i * place.stride]; };
  switch (layout.dtype) {
    case DType::kF32:
      for (int64_t i = 0; i < layout.head_dim; ++i) x[i] = at(reinterpret_cast<const float*>(page), i);
      return;
    case DType::kF16:
      for (int64_t i = 0; i < layout.head_dim; ++i) x[i] = ToFloat(at(reinterpret_cast<const F16*>(page), i));
      return;
    case DType::kI8: {
      const float scale = (place.key ? layout.KeyScales(page, head) : layout.ValueScales(page, head))[slot];
      for (int64_t i = 0; i < layout.head_dim; ++i) {
        x[i] = static_cast<float>(at(reinterpret_cast<const int8_t*>(page), i)) * scale;
      }
      return;
    }
    default:
      STABLELM_CHECK(false);
  }
}

}  // namespace

bool WriteKeyRef(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* x) {
  return Write(layout, page, head, slot, KeyPlace(layout, head, slot), x);
}
bool WriteValueRef(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* x) {
  return Write(layout, page, head, slot, ValuePlace(layout, head, slot), x);
}
void ReadKeyRef(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, float* x) {
  Read(layout, page, head, slot, KeyPlace(layout, head, slot), x);
}
void ReadValueRef(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, float* x) {
  Read(layout, page, head, slot, ValuePlace(layout, head, slot), x);
}

}  // namespace stablelm
