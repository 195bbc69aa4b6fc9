// AMX (Intel Advanced Matrix Extensions): detection, and the instructions on its tile registers. Internal to ops, x86
// only except AmxUsable. Follows "Intel AMX Instruction Set Reference" of Intel's architecture manual.
//
// A tile has up to 16 rows of up to 64 bytes. A product adds A [M rows of K] times B to C [M rows of 16 words]. Row i
// of B holds one word for each of 16 outputs: the 4 / sizeof(element) elements of K that begin at byte 4 i.
// ops/packed_matrix.h packs words in this order.
//
// Written in assembly, because Highway has no target with AMX and intrinsics need functions compiled for AMX. Compilers
// do not use the tile registers themselves.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stablelm {

// Whether the processor has tiles with products of bytes and of bf16, and the system lets this process use them: Linux
// saves their state only for processes that request it. Checked once; the answer never changes.
bool AmxUsable();
// For tests that emulate AMX on processors without it: AmxUsable returns true from now on. Call it before anything
// checks.
void AssumeAmx();

// The largest tile: rows, and bytes per row.
inline constexpr size_t kTileHeight = 16, kTileRowBytes = 64;

#if defined(__x86_64__)

// Rows and bytes per row of the eight tiles.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void Set(size_t tile, size_t tile_rows, size_t bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

// Configures the tiles of this thread, all zero at first, and releases them in the destructor: threads that hold tiles
// are more expensive to switch.
class Tiles {
 public:
  explicit Tiles(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config) : "memory"); }
  ~Tiles() { asm volatile("tilerelease" : : : "memory"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int kTile>
  static void Zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  // Rows `stride` bytes apart.
  template <int kTile>
  static void Load(const void* from, size_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  static void Store(void* to, size_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  // C += A B of signed bytes, accumulated in 32 bits.
  template <int kC, int kA, int kB>
  static void AddBytes() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
  // The same with unsigned bytes in B.
  template <int kC, int kA, int kB>
  static void AddUnsignedBytes() {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
  // C += A B of bf16. Each output computes two chains of fused multiply-adds from zero, over the lower and over the
  // higher elements of the words, adds them, and adds the result to C. Denormal operands and results are flushed to
  // zero.
  template <int kC, int kA, int kB>
  static void AddBf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
};

#endif  // __x86_64__

}  // namespace stablelm
