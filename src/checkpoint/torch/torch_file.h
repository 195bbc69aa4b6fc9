// Reading PyTorch weight files (.bin, .pt): the tensors of a state dict, where they lie in the file, without running or
// copying anything.
//
// Two containers: the zip archive of torch >= 1.6 and the legacy sequence of pickles before it. Both are read from
// torch/serialization.py's description; the pickles by checkpoint/torch/pickle.h. The result must be a map of names to
// tensors, or one wrapped as {"state_dict" | "module" | "model": map}. Tensors may share storages and have any strides.
//
// Checksums: the small members (data.pkl, version, byteorder) are compared with their CRC-32 always; those of the
// storages would mean reading the whole file and are compared by CheckTorchStorages only (`inspect --hash`).
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/describe/stored_tensor.h"

namespace stablelm {

struct TorchFile {
  bool legacy = false;
  std::vector<StoredTensor> tensors;  // in the order of the state dict
};

// `file` is the whole file, `where` its name in errors. Throws Error.
TorchFile ParseTorchFile(std::span<const std::byte> file, const std::string& where);

// Compares every member of a zip container with its CRC-32; a legacy file has none. `on_bytes` (optional) hears the
// progress. Throws Error.
void CheckTorchStorages(std::span<const std::byte> file, const std::string& where,
                        const std::function<void(size_t)>& on_bytes = {});

}  // namespace stablelm
