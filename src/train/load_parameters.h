// Initial values of the parameters of a training run: a model, or the random weights of a new one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/thread_pool.h"
#include "checkpoint/model_folder.h"
#include "train/parameters.h"

namespace stablelm {

// Throws Error for a model with quantized matrices, which cannot be trained, naming the first one.
void RequireTrainable(const ModelFolder& folder);

// Loads a folder or GGUF file of floats of any type. The parameters were made for its config and row order. Pages of
// the files are released once they are read. Throws Error, also for a value that is not finite.
void LoadParameters(const ModelFolder& folder, Parameters& parameters, ThreadPool& pool, bool show_progress = false);

// The weights that `stablelm init --seed` writes for the same config.
void DrawParameters(uint64_t seed, Parameters& parameters, ThreadPool& pool);

// The initial values of adapters: A uniform in [-1/sqrt(in), 1/sqrt(in)) (Kaiming-uniform, as PEFT), keyed by the seed
// of LoraOptions, layer, target and element; B zero, so that training starts at the base.
void DrawAdapters(Parameters& parameters, ThreadPool& pool);

}  // namespace stablelm
