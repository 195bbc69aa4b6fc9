// Says what a model is, whether it fits into memory, and loads it with 4-bit weights: load MODEL
#include <stablelm/stablelm.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: load MODEL\n";
    return 2;
  }
  const stablelm::ModelInfo info = stablelm::LanguageModel::Inspect(argv[1]);
  std::cout << info.name << ": " << info.parameters << " parameters";
  for (const std::string& type : info.stored_types) std::cout << ", " << type;
  std::cout << ", context " << info.context_length;
  std::cout << ", licence " << (info.licence.empty() ? "not said" : info.licence) << "\n";
  if (info.prompt_template) std::cout << "template " << NameOf(*info.prompt_template) << "\n";

  stablelm::LoadSettings settings = {.weights = stablelm::WeightType::kQ4_K_M};
  const stablelm::MemoryEstimate memory = stablelm::LanguageModel::EstimateMemory(argv[1], settings);
  for (const stablelm::MemoryItem& item : memory.items) std::cout << item.name << ": " << item.bytes << " bytes\n";
  if (!memory.fits) {
    std::cerr << "does not fit: " << memory.total << " of " << memory.available.value_or(0) << " bytes\n";
    return 1;
  }
  settings.on_progress = [](const stablelm::LoadProgress& progress) {
    std::cerr << "\r" << 100 * progress.done / progress.total << " %" << std::flush;
  };
  const auto model = stablelm::LanguageModel::Load(argv[1], settings);
  std::cerr << "\n";
  for (const std::string& warning : model.info().warnings) std::cerr << "warning: " << warning << "\n";
} catch (const stablelm::ModelError& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
