#include "model/linear.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "ops/convert_values.h"
#include "ops/matmul.h"
#include "ops/row_converter.h"

namespace stablelm {
namespace {

constexpr size_t kTaskBytes = size_t{4} << 20;  // stored, of work handed to a thread

// The rows of a panel in the type that is packed: stored, as the type that was asked for, and perhaps rounded to bf16.
class PanelConverter {
 public:
  explicit PanelConverter(const PackSource& source)
      : source_(source),
        columns_(static_cast<size_t>(source.stored.shape[1])),
        rows_({.from = source.stored.dtype,
               .to = source.type,
               .width = columns_,
               .matrix = true,
               .where = "tensor " + Quoted(source.name)}) {}

  DType packed() const { return PackedType(source_.type, source_.compute); }

  struct Buffers {
    AlignedBuffer<std::byte> rows, rounded;
    std::vector<float> scratch;
  };
  // Of one thread; nothing when the stored rows are packed as they are.
  Buffers Allocate() const {
    Buffers buffers;
    if (source_.stored.dtype != source_.type) {
      buffers.rows = {kPanelRows * BytesOf(source_.type, source_.stored.shape[1]), "converted rows"};
      buffers.scratch.resize(rows_.ScratchFloats());
    }
    if (source_.type != packed()) buffers.rounded = {kPanelRows * columns_ * sizeof(BF16), "rounded rows"};
    return buffers;
  }

  // `count` rows from row `first` on, stored at `from`.
  const std::byte* Convert(size_t first, size_t count, const std::byte* from, Buffers& buffers) const {
    const std::byte* const rows = AsType(first, count, from, buffers);
    if (source_.type == packed()) return rows;
    ConvertValues(rows, source_.type, buffers.rounded.data(), packed(), count * columns_);
    CheckFinite(first, count, buffers.rounded.data(), packed());
    return buffers.rounded.data();
  }

 private:
  const std::byte* AsType(size_t first, size_t count, const std::byte* from, Buffers& buffers) const {
    const DType stored = source_.stored.dtype;
    if (stored == source_.type) return from;
    if (IsQuantized(source_.type)) {
      const size_t from_row = BytesOf(stored, source_.stored.shape[1]);
      const size_t to_row = BytesOf(source_.type, source_.stored.shape[1]);
      for (size_t r = 0; r < count; ++r) {
        rows_.Convert(static_cast<int64_t>(first + r), from + r * from_row, buffers.scratch,
                      buffers.rows.data() + r * to_row);
      }
      return buffers.rows.data();
    }
    ConvertValues(from, stored, buffers.rows.data(), source_.type, count * columns_);
    CheckFinite(first, count, buffers.rows.data(), source_.type);
    return buffers.rows.data();
  }

  void CheckFinite(size_t first, size_t count, const std::byte* rows, DType type) const {
    const size_t n = count * columns_;
    const size_t bad = source_.check_values ? FirstNonFiniteValue(rows, type, n) : n;
    if (bad == n) return;
    throw Error({.where = source_.name,
                 .what = "the value at flat index " + std::to_string(first * columns_ + bad) + " is not finite",
                 .found = "NaN or infinity (overflows when converted as " + std::string(NameOf(type)) + ")",
                 .expected = "finite numbers",
                 .hint = "the weights are damaged, or do not fit the type that was asked for"});
  }

  const PackSource& source_;
  const size_t columns_;
  const RowConverter rows_;
};

}  // namespace

Linear::Linear(const PackSource& source, const float* bias, ThreadPool* pool)
    : weight_(PackedType(source.type, source.compute), source.stored.shape[0], source.stored.shape[1],
              source.name.c_str(), IsQuantized(source.type) ? Compute::kExact : source.compute),
      bias_(bias) {
  const size_t row_bytes = BytesOf(source.stored.dtype, source.stored.shape[1]);
  const PanelConverter converter(source);
  const auto pack = [&](size_t p_begin, size_t p_end) {
    PanelConverter::Buffers buffers = converter.Allocate();
    for (size_t p = p_begin; p < p_end; ++p) {
      const size_t first = p * kPanelRows;
      weight_.Pack(p, converter.Convert(first, weight_.RowsOf(p), source.stored.data + first * row_bytes, buffers));
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
  ApplyAfter({}, x, nullptr, rows, y, pool, workspace);
}

void Linear::ApplyAfter(const RowStep& step, const float* x, float* stepped, int64_t rows, float* y, ThreadPool& pool,
                        Workspace& workspace) const {
  MatMul({.x = x, .m = rows, .w = &weight_, .bias = bias_, .y = y, .step = step, .stepped = stepped}, pool, workspace);
}

}  // namespace stablelm
