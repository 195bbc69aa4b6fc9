// Scalars for TensorBoard: an event file in its format, written here.
//
// The file is a TFRecord: records of u64 length, u32 masked CRC-32C of the length, bytes, u32 masked CRC-32C of the
// bytes, little-endian. Each holds a protobuf Event (tensorflow/core/util/event.proto). The first names the version of
// the format, the second says that a session starts at a step: readers drop what earlier files of the folder say of
// that step and later ones, so a run that is resumed has no step twice.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/append_file.h"

namespace stablelm {

struct EventScalar {
  std::string tag;   // "train/loss"; TensorBoard groups tags by what stands before "/"
  double value = 0;  // written as fp32
};

// For one thread. Throws Error when the file cannot be written.
class EventFile {
 public:
  // Creates the next file in `folder`: events.out.tfevents.000001.stablelm, and so on; readers take them in this order.
  // `first_step`: the first step that will be written to it.
  EventFile(const std::filesystem::path& folder, int64_t first_step);

  const std::filesystem::path& path() const { return file_.path(); }
  // One event with all scalars; `wall_time` in seconds since 1970.
  void Append(int64_t step, double wall_time, std::span<const EventScalar> scalars);

 private:
  AppendFile file_;
};

}  // namespace stablelm
