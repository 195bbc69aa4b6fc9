// Reads PyTorch weight files (.bin, .pt): finds the tensors of a state dict in the file, without running code or
// copying data.
//
// Two containers: the zip archive of torch >= 1.6 and the legacy sequence of pickles before it. Both follow
// torch/serialization.py; checkpoint/torch/pickle.h reads the pickles. The root must be a map of names to tensors, or
// such a map wrapped as {"state_dict" | "module" | "model": map}. Tensors may share storages and have any strides.
//
// Checksums: the CRC-32 of the small members (data.pkl, version, byteorder) is always checked. Checking the storages
// means reading the whole file, so only CheckTorchStorages does it (`inspect --hash`).
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

// Checks the CRC-32 of every member of a zip container; a legacy file has none. `on_bytes` (optional) reports progress.
// Throws Error.
void CheckTorchStorages(std::span<const std::byte> file, const std::string& where,
                        const std::function<void(size_t)>& on_bytes = {});

}  // namespace stablelm
