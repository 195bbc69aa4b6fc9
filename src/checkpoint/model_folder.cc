#include "checkpoint/model_folder.h"

namespace stablelm {

std::shared_ptr<const ModelFolder> ModelFolder::Open(const std::string& path_or_hub_id) {
  return Open(ModelSource::Open(path_or_hub_id));
}

std::shared_ptr<const ModelFolder> ModelFolder::Open(std::shared_ptr<const ModelSource> source) {
  const std::shared_ptr<ModelFolder> model(new ModelFolder);
  model->source_ = std::move(source);
  model->config_ = model->source_->ReadConfig(&model->warnings_);
  const std::vector<GgufFile>& gguf = model->source_->gguf_parts();
  model->files_ = gguf.empty() ? OpenWeightFiles(model->path(), &model->warnings_) : OpenWeightFiles(gguf);
  model->table_ = WeightTable(model->config_);
  model->places_ =
      MatchWeights(model->table_, model->config_, model->files_, model->path().string(), &model->warnings_);
  return model;
}

}  // namespace stablelm
