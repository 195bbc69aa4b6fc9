#include "cli/commands/read_shape.h"

#include <filesystem>

#include "base/error.h"
#include "base/nearest.h"

namespace stablelm {

ModelConfig ReadShape(const std::string& shape) {
  if (const auto config = ModelConfig::FromShapeName(shape)) return *config;
  std::error_code ignored;
  if (!std::filesystem::exists(shape, ignored)) {
    const std::string names[] = {"3b", "7b"};
    throw Error({.where = "--shape",
                 .what = "neither the name of a shape nor a file",
                 .found = Quoted(shape),
                 .expected = "3b, 7b or the path of a config.json",
                 .hint = DidYouMean(shape, names, "every model folder has a config.json: --shape FOLDER/config.json")});
  }
  const std::filesystem::path path = shape;
  return ReadConfig(std::filesystem::is_directory(path, ignored) ? path / "config.json" : path);
}

}  // namespace stablelm
