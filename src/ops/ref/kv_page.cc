#include "ops/kv_page.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "ops/quantized_rows.h"

namespace stablelm {
namespace {

enum class Part : uint8_t { kKey, kValue };

int64_t IndexOf(const KvLayout& layout, Part part, int64_t head, int64_t slot, int64_t i) {
  return part == Part::kKey ? layout.KeyIndex(head, slot, i) : layout.ValueIndex(head, slot, i);
}

bool Write(const KvLayout& layout, std::byte* page, Part part, int64_t head, int64_t slot, const float* x) {
  const int64_t dims = layout.head_dim, padded = layout.padded_dim();
  const auto at = [&](auto* elements, int64_t i) -> auto& { return elements[IndexOf(layout, part, head, slot, i)]; };
  bool fits = true;
  switch (layout.dtype) {
    case DType::kF32:
      for (int64_t i = 0; i < padded; ++i) at(reinterpret_cast<float*>(page), i) = i < dims ? x[i] : 0.0f;
      return true;
    case DType::kF16:
      for (int64_t i = 0; i < padded; ++i) {
        at(reinterpret_cast<F16*>(page), i) = ToF16(i < dims ? x[i] : 0.0f);
        // 65520 and above round to infinity; inputs that are infinite or NaN are detected elsewhere.
        if (i < dims) fits &= !(std::abs(x[i]) >= 65520.0f && std::isfinite(x[i]));
      }
      return fits;
    case DType::kI8: {
      std::vector<int8_t> q(static_cast<size_t>(padded), int8_t{0});
      float* const scales = part == Part::kKey ? layout.KeyScales(page, head) : layout.ValueScales(page, head);
      QuantizeBlockRef(x, static_cast<size_t>(dims), q.data(), scales + slot);
      for (int64_t i = 0; i < padded; ++i) at(reinterpret_cast<uint8_t*>(page), i) = KvByte(q[static_cast<size_t>(i)]);
      return true;
    }
    default:
      STABLELM_CHECK(false);
  }
}

void Read(const KvLayout& layout, const std::byte* page, Part part, int64_t head, int64_t slot, float* x) {
  const auto at = [&](const auto* elements, int64_t i) { return elements[IndexOf(layout, part, head, slot, i)]; };
  switch (layout.dtype) {
    case DType::kF32:
      for (int64_t i = 0; i < layout.head_dim; ++i) x[i] = at(reinterpret_cast<const float*>(page), i);
      return;
    case DType::kF16:
      for (int64_t i = 0; i < layout.head_dim; ++i) x[i] = ToFloat(at(reinterpret_cast<const F16*>(page), i));
      return;
    case DType::kI8: {
      const float scale = (part == Part::kKey ? layout.KeyScales(page, head) : layout.ValueScales(page, head))[slot];
      for (int64_t i = 0; i < layout.head_dim; ++i) {
        x[i] = static_cast<float>(FromKvByte(at(reinterpret_cast<const uint8_t*>(page), i))) * scale;
      }
      return;
    }
    default:
      STABLELM_CHECK(false);
  }
}

}  // namespace

bool WriteKeyRef(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* x) {
  return Write(layout, page, Part::kKey, head, slot, x);
}
bool WriteValueRef(const KvLayout& layout, std::byte* page, int64_t head, int64_t slot, const float* x) {
  return Write(layout, page, Part::kValue, head, slot, x);
}
void ReadKeyRef(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, float* x) {
  Read(layout, page, Part::kKey, head, slot, x);
}
void ReadValueRef(const KvLayout& layout, const std::byte* page, int64_t head, int64_t slot, float* x) {
  Read(layout, page, Part::kValue, head, slot, x);
}

}  // namespace stablelm
