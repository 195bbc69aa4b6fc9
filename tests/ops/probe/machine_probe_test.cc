#include "ops/probe/machine_probe.h"

#include "base/aligned_buffer.h"
#include "ops/op_testing.h"

namespace stablelm {
namespace {

// The mix is the exclusive or of all words, summed over lanes. With a single nonzero word it is that word, at any
// offset, so every part of the memory is read.
TEST(ReadStreams, ReadsEveryPart) {
  constexpr size_t kBytes = 64 * 1024;
  AlignedBuffer<std::byte> memory(kBytes + kReadSlack, "test");
  ForEachSimdTarget([&] {
    for (const size_t streams : std::initializer_list<size_t>{1, 2, 4, 8}) {
      for (const Prefetch prefetch : {Prefetch::kNo, Prefetch::kNear, Prefetch::kFar}) {
        std::memset(memory.data(), 0, memory.size());
        EXPECT_EQ(ReadStreams(memory.data(), kBytes, streams, prefetch), 0u);
        const uint64_t mark = 0x123456789ABCDEF0u + streams;
        size_t read = 0;
        for (size_t line = 0; line < memory.size() / 64; ++line) {
          const size_t at = line * 64 + line % 8 * 8;
          std::memcpy(memory.data() + at, &mark, 8);
          const uint64_t mix = ReadStreams(memory.data(), kBytes, streams, prefetch);
          if (mix != 0) {
            EXPECT_EQ(mix, mark);
            ++read;
          }
          std::memset(memory.data() + at, 0, 8);
        }
        EXPECT_EQ(read, kBytes / 64) << streams << " streams";
      }
    }
  });
}

TEST(MultiplyAdds, CountsItsWorkAndStaysFinite) {
  ForEachSimdTarget([&] {
    const ProbeWork work = RunMultiplyAdds(1000);
    EXPECT_EQ(work.operations, 1000.0 * 12 * 2 * static_cast<double>(SimdLanes()));
    // Twelve chains, each of which has converged to 1 in every lane.
    EXPECT_TRUE(Near(work.mix, 12.0 * static_cast<double>(SimdLanes()), 1e-3)) << work.mix;
  });
}

TEST(ByteProducts, CountsItsWorkWhereTheTargetMultipliesBytes) {
  ForEachSimdTarget([&] {
    const std::string target = SimdTargetInUse();
    const bool bytes = target != "sse4" && target != "scalar";
    const double vector = static_cast<double>(SimdLanes() * sizeof(float));
    const double round = TilesInUse() ? 4 * 16 * 16 * 64 : 10 * vector;
    EXPECT_EQ(RunByteProducts(1000).operations, bytes ? 1000.0 * 2 * round : 0);
  });
}

TEST(Bf16Products, CountTheirWorkWhereThereAreAny) {
  ForEachSimdTarget([&] {
    const ProbeWork work = RunBf16Products(1000);
    EXPECT_EQ(work.operations, TilesInUse() ? 1000.0 * 4 * 2 * 16 * 16 * 32 : Bf16InUse() ? 1000.0 * 12 * 2 * 32 : 0.0);
    EXPECT_EQ(work.mix, 0);
  });
}

}  // namespace
}  // namespace stablelm
