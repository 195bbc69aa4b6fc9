// Every command of the program, in the order in which --help lists them. Each Make... lives in a file named after it.
#pragma once

#include <memory>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

std::unique_ptr<Command> MakeTokenize();
std::unique_ptr<Command> MakeDetokenize();
std::unique_ptr<Command> MakeChat();
std::unique_ptr<Command> MakeGenerate();
std::unique_ptr<Command> MakePrompt();
std::unique_ptr<Command> MakeScore();
std::unique_ptr<Command> MakeFit();
std::unique_ptr<Command> MakeInit();
std::unique_ptr<Command> MakeInspect();
std::unique_ptr<Command> MakeConvert();
std::unique_ptr<Command> MakeQuantize();
std::unique_ptr<Command> MakeImatrix();
std::unique_ptr<Command> MakeBenchMemory();
std::unique_ptr<Command> MakeBenchCompute();
std::unique_ptr<Command> MakeBenchModel();
std::unique_ptr<Command> MakeBenchSampler();
std::unique_ptr<Command> MakeBenchTokenizer();
std::unique_ptr<Command> MakeCompletion();
std::unique_ptr<Command> MakeMan();

std::vector<std::unique_ptr<Command>> AllCommands();

}  // namespace stablelm
