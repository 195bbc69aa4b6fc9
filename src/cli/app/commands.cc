#include "cli/app/commands.h"

namespace stablelm {

std::vector<std::unique_ptr<Command>> AllCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeTokenize());
  commands.push_back(MakeDetokenize());
  commands.push_back(MakeChat());
  commands.push_back(MakeGenerate());
  commands.push_back(MakePrompt());
  commands.push_back(MakeScore());
  commands.push_back(MakeFit());
  commands.push_back(MakeInit());
  commands.push_back(MakeInspect());
  commands.push_back(MakeConvert());
  commands.push_back(MakeQuantize());
  commands.push_back(MakeImatrix());
  commands.push_back(MakeBenchMemory());
  commands.push_back(MakeBenchCompute());
  commands.push_back(MakeBenchModel());
  commands.push_back(MakeBenchSampler());
  commands.push_back(MakeBenchTokenizer());
  commands.push_back(MakeCompletion());
  commands.push_back(MakeMan());
  return commands;
}

}  // namespace stablelm
