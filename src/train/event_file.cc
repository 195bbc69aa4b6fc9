#include "train/event_file.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "base/crc32c.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEventPrefix = "events.out.tfevents.", kSuffix = ".stablelm";

void AppendLittleEndian(uint64_t value, int bytes, std::string& out) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}

// A protobuf message as it is encoded: each field is a key (number and wire type), then the value.
class EventMessage {
 public:
  void Varint(uint32_t field, uint64_t value) {
    Key(field, 0);
    Raw(value);
  }
  void Double(uint32_t field, double value) {
    Key(field, 1);
    AppendLittleEndian(std::bit_cast<uint64_t>(value), 8, bytes_);
  }
  void Float(uint32_t field, float value) {
    Key(field, 5);
    AppendLittleEndian(std::bit_cast<uint32_t>(value), 4, bytes_);
  }
  void Bytes(uint32_t field, std::string_view value) {
    Key(field, 2);
    Raw(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Key(uint32_t field, uint32_t wire_type) { Raw(field << 3 | wire_type); }
  void Raw(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

EventMessage Event(double wall_time, int64_t step) {
  EventMessage event;
  event.Double(1, wall_time);
  event.Varint(2, static_cast<uint64_t>(step));
  return event;
}

// The checksum of TFRecord: a checksum of bytes that hold checksums themselves would be weak.
uint32_t Masked(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

std::string Record(const EventMessage& event) {
  std::string record;
  AppendLittleEndian(event.bytes().size(), 8, record);
  AppendLittleEndian(Masked(record), 4, record);
  record += event.bytes();
  AppendLittleEndian(Masked(event.bytes()), 4, record);
  return record;
}

fs::path NextFile(const fs::path& folder) {
  int last = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kEventPrefix) || !name.ends_with(kSuffix)) continue;
    int number = 0;
    std::from_chars(name.data() + kEventPrefix.size(), name.data() + name.size(), number);
    last = std::max(last, number);
  }
  char number[16];
  std::snprintf(number, sizeof number, "%06d", last + 1);
  return folder / (std::string(kEventPrefix) + number + std::string(kSuffix));
}

}  // namespace

EventFile::EventFile(const fs::path& folder, int64_t first_step) : file_(NextFile(folder), AppendFile::Mode::kNew) {
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EventMessage version = Event(now, 0);
  version.Bytes(3, "brain.Event:2");
  EventMessage session;
  session.Varint(1, 1);  // SessionLog.status: START
  EventMessage start = Event(now, first_step);
  start.Bytes(7, session.bytes());
  file_.Append(Record(version) + Record(start));
}

void EventFile::Append(int64_t step, double wall_time, std::span<const EventScalar> scalars) {
  EventMessage summary;
  for (const EventScalar& scalar : scalars) {
    EventMessage value;
    value.Bytes(1, scalar.tag);
    value.Float(2, static_cast<float>(scalar.value));
    summary.Bytes(1, value.bytes());
  }
  EventMessage event = Event(wall_time, step);
  event.Bytes(5, summary.bytes());
  file_.Append(Record(event));
}

}  // namespace stablelm
