#include "model/linear.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/convert_values.h"
#include "ops/matmul.h"

namespace stablelm {
namespace {

constexpr size_t kTaskBytes = size_t{4} << 20;  // stored, of work handed to a thread

}  // namespace

Linear::Linear(const PackSource& source, const float* bias, ThreadPool* pool)
    : weight_(source.type, source.stored.shape[0], source.stored.shape[1], source.name.c_str()), bias_(bias) {
  const DType stored = source.stored.dtype;
  const int64_t columns = source.stored.shape[1];
  const size_t row_bytes = BytesOf(stored, columns);
  const auto pack = [&](size_t p_begin, size_t p_end) {
    AlignedBuffer<std::byte> converted;
    if (stored != source.type) converted = {kPanelRows * BytesOf(source.type, columns), "converted rows"};
    for (size_t p = p_begin; p < p_end; ++p) {
      const std::byte* rows = source.stored.data + p * kPanelRows * row_bytes;
      if (stored != source.type) {
        const size_t n = weight_.RowsOf(p) * static_cast<size_t>(columns);
        ConvertValues(rows, stored, converted.data(), source.type, n);
        const size_t bad = source.check_values ? FirstNonFiniteValue(converted.data(), source.type, n) : n;
        if (bad < n) {
          throw Error(
              {.where = source.name,
               .what = "the value at flat index " +
                       std::to_string(p * kPanelRows * static_cast<size_t>(columns) + bad) + " is not finite",
               .found = "NaN or infinity (overflows when converted as " + std::string(NameOf(source.type)) + ")",
               .expected = "finite numbers",
               .hint = "the weights are damaged, or do not fit the type that was asked for"});
        }
        rows = converted.data();
      }
      weight_.Pack(p, rows);
    }
    const size_t begin = p_begin * kPanelRows;
    const size_t end = std::min(p_end * kPanelRows, weight_.rows());
    if (source.done) source.done(begin * row_bytes, (end - begin) * row_bytes);
  };
  const size_t each = std::max<size_t>(1, kTaskBytes / std::max<size_t>(1, kPanelRows * row_bytes));
  const size_t tasks = (weight_.panels() + each - 1) / each;
  const auto task = [&](size_t i) { pack(i * each, std::min(weight_.panels(), (i + 1) * each)); };
  if (pool) {
    pool->ForEach(tasks, [&](size_t i, size_t) { task(i); });
  } else {
    for (size_t i = 0; i < tasks; ++i) task(i);
  }
}

void Linear::Apply(const float* x, int64_t rows, float* y, ThreadPool& pool, Workspace& workspace) const {
  MatMul({.x = x, .m = rows, .w = &weight_, .bias = bias_, .y = y}, pool, workspace);
}

}  // namespace stablelm
