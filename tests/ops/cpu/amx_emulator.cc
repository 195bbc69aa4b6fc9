// Lets tests run the AMX kernels on machines with AVX-512 but without AMX: a signal handler emulates the instructions
// that the processor refuses, so the tests run the program's own machine code. Follows the operation sections of
// Intel's architecture manual, and refuses what a processor would refuse.
//
// Linked into a test, it installs itself before main when needed, and makes AmxUsable return true.

#include "ops/cpu/amx.h"

#if defined(__x86_64__) && defined(__linux__)

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace stablelm {
namespace {

struct State {
  TileConfig config;
  bool configured = false;
  alignas(64) unsigned char tiles[8][16][64] = {};
};
thread_local State state;

[[noreturn]] void Refuse(const char* why) {
  constexpr char kHead[] = "AMX emulator: the program would have been stopped: ";
  if (write(STDERR_FILENO, kHead, sizeof kHead - 1) < 0 || write(STDERR_FILENO, why, std::strlen(why)) < 0 ||
      write(STDERR_FILENO, "\n", 1) < 0) {
    std::abort();
  }
  std::abort();
}
void Require(bool condition, const char* why) {
  if (!condition) Refuse(why);
}

size_t Rows(int tile) { return state.config.rows[tile]; }
size_t Bytes(int tile) { return state.config.row_bytes[tile]; }

// ------------------------------------------------------------------------------------------- instructions

void LoadConfig(const void* from) {
  State fresh;
  std::memcpy(&fresh.config, from, sizeof fresh.config);
  Require(fresh.config.palette == 1, "palette is not 1");
  Require(fresh.config.start_row == 0, "start row is not 0");
  for (const uint8_t byte : fresh.config.reserved) Require(byte == 0, "a reserved byte is set");
  for (int t = 0; t < 16; ++t) {
    const size_t rows = fresh.config.rows[t], bytes = fresh.config.row_bytes[t];
    Require(rows <= 16 && bytes <= 64 && (rows == 0) == (bytes == 0), "a tile's size");
    Require(t < 8 || rows == 0, "a tile beyond the eighth");
  }
  fresh.configured = true;
  state = fresh;
}

// Rows that are not configured become zero.
void LoadTile(int tile, const unsigned char* from, int64_t stride) {
  std::memset(state.tiles[tile], 0, sizeof state.tiles[tile]);
  for (size_t row = 0; row < Rows(tile); ++row) {
    std::memcpy(state.tiles[tile][row], from + static_cast<int64_t>(row) * stride, Bytes(tile));
  }
}

void StoreTile(int tile, unsigned char* to, int64_t stride) {
  for (size_t row = 0; row < Rows(tile); ++row) {
    std::memcpy(to + static_cast<int64_t>(row) * stride, state.tiles[tile][row], Bytes(tile));
  }
}

void CheckProduct(int c, int a, int b) {
  Require(c != a && c != b && a != b, "a product of a tile with itself");
  for (const int tile : {c, a, b}) {
    Require(Rows(tile) > 0 && Bytes(tile) % 4 == 0, "a product's tile is not configured");
  }
  Require(Rows(c) == Rows(a) && Bytes(c) == Bytes(b) && Bytes(a) == 4 * Rows(b), "a product's sizes");
}

template <class AType, class BType>
void ByteProduct(int c, int a, int b) {
  CheckProduct(c, a, b);
  for (size_t m = 0; m < Rows(c); ++m) {
    int32_t sums[16];
    std::memcpy(sums, state.tiles[c][m], sizeof sums);
    for (size_t i = 0; i < Bytes(a); ++i) {
      const int32_t x = static_cast<AType>(state.tiles[a][m][i]);
      const unsigned char* const w = state.tiles[b][i / 4] + i % 4;
      for (size_t n = 0; n < Bytes(c) / 4; ++n) {
        const int32_t product = x * static_cast<BType>(w[4 * n]);
        sums[n] = static_cast<int32_t>(static_cast<uint32_t>(sums[n]) + static_cast<uint32_t>(product));
      }
    }
    std::memcpy(state.tiles[c][m], sums, Bytes(c));
  }
}

// With this target std::fma is one instruction. Every machine that the emulator runs on has FMA.
#define STABLELM_WITH_FMA __attribute__((target("avx2,fma")))

STABLELM_WITH_FMA float Flushed(float value) {
  return std::abs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value;
}
STABLELM_WITH_FMA float Half(const unsigned char* word, size_t half) {
  uint16_t bits = 0;
  std::memcpy(&bits, word + 2 * half, 2);
  return Flushed(std::bit_cast<float>(static_cast<uint32_t>(bits) << 16));
}

STABLELM_WITH_FMA void Bf16Product(int c, int a, int b) {
  CheckProduct(c, a, b);
  for (size_t m = 0; m < Rows(c); ++m) {
    float sums[16], chains[2][16] = {};
    std::memcpy(sums, state.tiles[c][m], sizeof sums);
    for (size_t i = 0; i < Rows(b); ++i) {
      for (size_t half = 0; half < 2; ++half) {
        const float x = Half(state.tiles[a][m] + 4 * i, half);
        for (size_t n = 0; n < Bytes(c) / 4; ++n) {
          chains[half][n] = Flushed(std::fma(x, Half(state.tiles[b][i] + 4 * n, half), chains[half][n]));
        }
      }
    }
    for (size_t n = 0; n < Bytes(c) / 4; ++n) {
      sums[n] = Flushed(Flushed(sums[n]) + Flushed(chains[0][n] + chains[1][n]));
    }
    std::memcpy(state.tiles[c][m], sums, Bytes(c));
  }
}

// ----------------------------------------------------------------------------------------------- decoding

// A register of a context, by its number in instructions.
int64_t Register(const ucontext_t& context, int number) {
  constexpr int kOrder[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                            REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return context.uc_mcontext.gregs[kOrder[number]];
}

enum Prefix : int { kNone, k66, kF3, kF2 };

// A VEX instruction with a prefix of three bytes in map 0F 38, as all AMX instructions are.
struct Instruction {
  int opcode = 0, prefix = 0, mod = 0, reg = 0, rm = 0, vvvv = 0;
  bool has_index = false;
  unsigned char* address = nullptr;  // without the index
  int64_t stride = 0;                // the index times its scale
  size_t length = 0;
};

bool Decode(const ucontext_t& context, Instruction& in) {
  const unsigned char* const code = reinterpret_cast<const unsigned char*>(context.uc_mcontext.gregs[REG_RIP]);
  const unsigned char* at = code;
  if (at[0] != 0xC4 || (at[1] & 0x1F) != 2 || (at[2] & 0x84) != 0) return false;  // map 0F 38, W and L zero
  const int r = at[1] & 0x80 ? 0 : 8, x = at[1] & 0x40 ? 0 : 8, b = at[1] & 0x20 ? 0 : 8;
  in.vvvv = ~(at[2] >> 3) & 15;
  in.prefix = at[2] & 3;
  in.opcode = at[3];
  const int modrm = at[4];
  at += 5;
  in.mod = modrm >> 6, in.reg = (modrm >> 3 & 7) | r, in.rm = (modrm & 7) | b;
  if (in.mod != 3) {
    int64_t address = 0;
    int base = in.rm;
    bool has_base = true;
    if ((modrm & 7) == 4) {
      const int sib = *at++;
      const int index = (sib >> 3 & 7) | x;
      in.has_index = true;
      if (index != 4) in.stride = Register(context, index) << (sib >> 6);
      base = (sib & 7) | b;
      has_base = !((sib & 7) == 5 && in.mod == 0);
    } else if ((modrm & 7) == 5 && in.mod == 0) {
      int32_t displacement = 0;  // from the instruction's end
      std::memcpy(&displacement, at, 4);
      at += 4;
      address = reinterpret_cast<int64_t>(at) + displacement;
      in.address = reinterpret_cast<unsigned char*>(address);
      in.length = static_cast<size_t>(at - code);
      return true;
    }
    if (has_base) address = Register(context, base);
    if (in.mod == 1) {
      address += static_cast<signed char>(*at++);
    } else if (in.mod == 2 || !has_base) {
      int32_t displacement = 0;
      std::memcpy(&displacement, at, 4);
      at += 4;
      address += displacement;
    }
    in.address = reinterpret_cast<unsigned char*>(address);
  }
  in.length = static_cast<size_t>(at - code);
  return true;
}

bool Execute(const Instruction& in) {
  const bool memory = in.mod != 3;
  switch (in.opcode) {
    case 0x49:
      if (memory && in.prefix == kNone && in.reg == 0) return LoadConfig(in.address), true;
      if (!memory && in.prefix == kNone && in.reg == 0 && in.rm == 0) return state = {}, true;
      if (memory || in.prefix != kF2) return false;
      Require(state.configured && Rows(in.reg) > 0, "a tile that is not configured is cleared");
      std::memset(state.tiles[in.reg], 0, sizeof state.tiles[in.reg]);
      return true;
    case 0x4B:
      if (!memory || !in.has_index || in.prefix == kNone) return false;
      Require(state.configured && Rows(in.reg) > 0, "a tile that is not configured is moved");
      in.prefix == kF3 ? StoreTile(in.reg, in.address, in.stride) : LoadTile(in.reg, in.address, in.stride);
      return true;
    case 0x5C:
      if (memory || in.prefix != kF3) return false;
      return Bf16Product(in.reg, in.rm, in.vvvv), true;
    case 0x5E:
      if (memory) return false;
      if (in.prefix == kF2) return ByteProduct<int8_t, int8_t>(in.reg, in.rm, in.vvvv), true;
      if (in.prefix == kF3) return ByteProduct<int8_t, uint8_t>(in.reg, in.rm, in.vvvv), true;
      if (in.prefix == k66) return ByteProduct<uint8_t, int8_t>(in.reg, in.rm, in.vvvv), true;
      return ByteProduct<uint8_t, uint8_t>(in.reg, in.rm, in.vvvv), true;
    default:
      return false;
  }
}

void OnIllegalInstruction(int, siginfo_t*, void* context_pointer) {
  ucontext_t& context = *static_cast<ucontext_t*>(context_pointer);
  Instruction in;
  if (!Decode(context, in) || !Execute(in)) Refuse("an instruction that neither the processor nor the emulator knows");
  context.uc_mcontext.gregs[REG_RIP] += static_cast<greg_t>(in.length);
}

[[maybe_unused]] const bool kInstalled = [] {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512vnni") == 0 || AmxUsable()) return false;
  struct sigaction action = {};
  action.sa_sigaction = OnIllegalInstruction;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGILL, &action, nullptr) != 0) return false;
  AssumeAmx();
  return true;
}();

}  // namespace
}  // namespace stablelm

#endif
