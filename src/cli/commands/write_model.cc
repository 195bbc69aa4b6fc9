#include "cli/commands/write_model.h"

#include "base/progress.h"
#include "base/thread_pool.h"
#include "checkpoint/rewrite/conversion.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "cli/app/interrupt.h"
#include "cli/commands/out_name.h"
#include "prompt/chat_record.h"

namespace stablelm {
namespace {

void CopyAll(const ModelFolder& model, const ModelToWrite& what, const std::vector<DType>& types, QkvOrder order,
             const TensorSink& sink, Output& out) {
  ThreadPool pool(what.threads);
  Progress progress(what.doing, SourceBytes(model), Progress::Unit::kBytes, out.show_progress());
  CopyTensors(model,
              {.types = types,
               .qkv_order = order,
               .change = what.change,
               .pool = &pool,
               .progress = &progress,
               .checkpoint = ThrowIfInterrupted},
              sink);
}

void ShowAll(const std::vector<std::string>& warnings, Output& out) {
  for (const std::string& warning : warnings) out.Warning(warning);
}

uint64_t WriteGguf(const ModelFolder& model, const ModelToWrite& what, Output& out) {
  RefuseExisting(what.out);
  const std::vector<DType> types = TypesInGguf(model, what.dtype);
  std::vector<std::string> warnings;
  GgufMetadata metadata = MetadataInGguf(model, types, &warnings);
  ShowAll(warnings, out);
  if (what.name) metadata.SetText("general.name", *what.name);
  if (what.licence) SetLicence(*what.licence, metadata);
  for (const CarriedFile& file : CarriedFiles()) {
    if (what.chat_record && file.name == kChatRecordFile) metadata.SetText(std::string(file.key), *what.chat_record);
  }
  GgufWriter writer(what.out, metadata, GgufTensors(model, types), false);
  CopyAll(
      model, what, types, QkvOrder::kStacked,
      [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); },
      out);
  out.Flush();
  writer.Commit();
  return writer.FileBytes();
}

uint64_t WriteFolder(const ModelFolder& model, const ModelToWrite& what, Output& out) {
  const std::vector<DType> types = TypesInFolder(model, what.dtype);
  FolderWriter writer(what.out, model.config(),
                      {.dtype = types[0], .types = types, .max_shard_bytes = what.max_shard_bytes});
  std::vector<std::string> warnings;
  WriteSmallFiles(model, types[0], writer, &warnings);
  ShowAll(warnings, out);
  if (what.chat_record) writer.WriteText(kChatRecordFile, *what.chat_record);
  CopyAll(
      model, what, types, QkvOrder::kPerHead,
      [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); },
      out);
  out.Flush();
  writer.Commit();
  return writer.TotalBytes();
}

}  // namespace

uint64_t WriteModel(const ModelFolder& model, const ModelToWrite& what, Output& out) {
  return OutKindOf(what.out) == OutKind::kGguf ? WriteGguf(model, what, out) : WriteFolder(model, what, out);
}

}  // namespace stablelm
