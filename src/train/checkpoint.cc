#include "train/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/temporary_paths.h"
#include "checkpoint/convert_rows.h"
#include "checkpoint/huggingface/folder_hashes.h"
#include "checkpoint/model_folder.h"
#include "ops/gradient_norm.h"
#include "ops/packed_matrix.h"
#include "train/file_rows.h"
#include "train/run_state.h"
#include "train/save_adapter.h"
#include "train/save_parameters.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

const fs::path& Cleared(const fs::path& out) {
  RemoveWholeFolder(out);
  return out;
}

// Adapters are small: their masters are always with the optimizer.
bool HasMasters(const Parameters& parameters, DType dtype) { return parameters.table().lora() || dtype != DType::kF32; }

std::unique_ptr<FolderWriter> WriterOf(const fs::path& out, const Parameters& parameters, DType dtype) {
  if (parameters.table().lora()) return std::make_unique<FolderWriter>(out);
  return std::make_unique<FolderWriter>(out, parameters.config(), WriterOptions{.dtype = dtype});
}

// The masters, from a folder that holds them in fp32.
void LoadMasters(const ModelFolder& folder, Parameters& parameters, ThreadPool& pool) {
  STABLELM_CHECK(folder.table().size() == parameters.table().entries().size());
  for (size_t e = 0; e < folder.table().size(); ++e) {
    if (!parameters.table().entries()[e].trained) continue;
    const FileRows rows(parameters, e);
    const auto width = static_cast<size_t>(rows.width());
    const StoredRows stored(folder.FileOf(e), folder.TensorOf(e));
    RowConversion conversion = {.type = DType::kF32, .non_finite = NonFinite::kRefuse, .pool = &pool};
    if (folder.table()[e].IsMatrix()) conversion.group = static_cast<int64_t>(kPanelRows);
    ConvertRows(stored.source(), conversion, [&](int64_t first, std::span<const std::byte> bytes) {
      std::vector<float> row(width);
      for (size_t i = 0; (i + 1) * width * sizeof(float) <= bytes.size(); ++i) {
        std::memcpy(row.data(), bytes.data() + i * width * sizeof(float), width * sizeof(float));
        rows.Set(parameters.masters(), first + static_cast<int64_t>(i), row.data());
      }
    });
  }
}

}  // namespace

NewCheckpoint::NewCheckpoint(const fs::path& out, const Parameters& parameters, const CheckpointModel& model)
    : out_(Cleared(out)),
      parameters_(parameters),
      dtype_(model.dtype),
      optimizer_(parameters, HasMasters(parameters, model.dtype)),
      writer_(WriterOf(out, parameters, model.dtype)),
      tensors_(writer_->AddTensors(kOptimizerFile, optimizer_.entries())) {
  if (parameters.table().lora()) {
    writer_->WriteText(kAdapterConfigFile, AdapterConfigOf(*parameters.table().lora(), model.base));
    adapters_ = &writer_->AddTensors(kAdapterWeightsFile, AdapterTensors(parameters, dtype_));
  } else {
    writer_->CopyTokenizer(model.tokenizer);
  }
  for (const auto& [name, text] : model.texts) writer_->WriteText(name, text);
}

void NewCheckpoint::Copy(ThreadPool& pool, const std::function<void()>& on_piece) {
  if (adapters_) {
    CopyAdapters(parameters_, dtype_, *adapters_, on_piece);
  } else {
    CopyParameters(parameters_, {.dtype = dtype_, .pool = &pool, .checkpoint = on_piece},
                   [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) {
                     writer_->WriteAt(entry, offset, bytes);
                   });
  }
  optimizer_.Write(tensors_, pool, on_piece);
}

std::string NewCheckpoint::Commit(const std::string& state, const std::function<void()>& before) {
  writer_->WriteText(kStateFile, state);
  if (before) before();
  writer_->Commit(true);
  return HashOfHashes(out_);
}

void LoadCheckpoint(const fs::path& checkpoint, const FineTune& tune, Parameters& parameters, ThreadPool& pool,
                    bool show_progress) {
  const fs::path file = checkpoint / kOptimizerFile;
  if (parameters.table().lora()) {
    OptimizerFile(parameters, true).Load(SafetensorsFile(file), file.string(), parameters, pool);
    return;
  }
  const auto folder = ModelFolder::Open(checkpoint.string());
  if (WriteConfig(folder->config(), DType::kF32) != WriteConfig(parameters.config(), DType::kF32)) {
    throw Error({.where = checkpoint.string(),
                 .what = "the checkpoint has another shape than the model of the run",
                 .hint = "its config.json was changed, or it is of another run: resume from another checkpoint"});
  }
  if (!std::ranges::all_of(parameters.table().entries(), &Parameter::trained)) {
    tune.SetInitial(parameters, pool, show_progress);
  }
  const DType stored = *folder->TensorOf(0).dtype;
  if (!HasMasters(parameters, stored)) LoadMasters(*folder, parameters, pool);
  OptimizerFile(parameters, HasMasters(parameters, stored))
      .Load(SafetensorsFile(file), file.string(), parameters, pool);
  pool.ForRanges(parameters.table().trained_size(), kNormChunk,
                 [&](size_t begin, size_t end) { parameters.RoundWeights(begin, end); });
}

}  // namespace stablelm
