// Reads command lines with the real commands and options, and runs none of them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/app/commands.h"
#include "cli/app/program.h"

namespace stablelm {

// A command that reads its command line and does nothing.
class ParsedOnly : public Command {
 public:
  explicit ParsedOnly(std::unique_ptr<Command> command) : command_(std::move(command)) {}
  std::string Name() const override { return command_->Name(); }
  std::string Summary() const override { return command_->Summary(); }
  std::string Examples() const override { return command_->Examples(); }
  unsigned Takes() const override { return command_->Takes(); }
  void AddOptions(CLI::App& app) override { command_->AddOptions(app); }
  size_t NeededAfterModel(const Arguments& arguments) const override { return command_->NeededAfterModel(arguments); }
  std::vector<std::string> StandsFor(const Arguments& arguments) const override {
    return command_->StandsFor(arguments);
  }
  int Run(Output& /*out*/) override { return kExitOk; }

 private:
  std::unique_ptr<Command> command_;
};

// The exit code of `stablelm ARGUMENTS`, and what it printed to standard error.
inline std::pair<int, std::string> ParseOnly(const std::vector<std::string>& arguments) {
  std::vector<std::unique_ptr<Command>> commands;
  for (std::unique_ptr<Command>& command : AllCommands()) {
    commands.push_back(std::make_unique<ParsedOnly>(std::move(command)));
  }
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = RunProgram(arguments, commands);
  testing::internal::GetCapturedStdout();
  return {code, testing::internal::GetCapturedStderr()};
}

}  // namespace stablelm
