// Writes the weights and the small files of an opened model as another one: a GGUF file or a folder, by OUT's ending.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/dtype.h"
#include "checkpoint/huggingface/writer.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "cli/app/output.h"
#include "cli/commands/out_name.h"

namespace stablelm {

struct ModelToWrite {
  std::string out;                              // OUT, as the user gave it
  std::optional<DType> dtype = {};              // of the matrices; empty: as stored
  std::optional<std::string> name = {};         // of the model, in a GGUF file
  std::optional<std::string> licence = {};      // in a GGUF file
  std::optional<std::string> chat_record = {};  // text of stablelm_chat.json; empty: the model's
  uint64_t max_shard_bytes = WriterOptions().max_shard_bytes;
  RowChange change = {};  // of the weights
  uint64_t threads = 1;
  const char* doing = "converting";  // title of the progress
};

// Atomic: nothing is left of what is interrupted. Returns the bytes that were written. Throws Error.
uint64_t WriteModel(const ModelFolder& model, const ModelToWrite& what, Output& out);

}  // namespace stablelm
