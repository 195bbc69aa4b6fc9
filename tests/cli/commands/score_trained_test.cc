// What is trained is what answers: the losses of a step are those that the program reports for the folder saved at that
// moment.
#include "golden_command.h"
#include "train/save_parameters.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

TEST(ScoreCommand, ReportsTheLossesOfTheTrainingStepForTheFolderSavedThen) {
  ThreadPool pool(2);
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    SCOPED_TRACE(NameOf(precision));
    const auto parameters = LoadFolder(TestData("golden/odd_width"), pool, precision);
    OwnedBatch documents;
    Json lists = Json::array();
    for (const size_t length : {size_t{40}, size_t{2}, size_t{33}}) {
      documents.AddText(RandomIds(length, parameters->config().vocab_size, length));
      lists.push_back(documents.tokens.back());
    }
    const TrainBatch batch = documents.batch();
    TrainingStep step(*parameters, {.max_tokens = CountTokens(batch), .precision = precision, .threads = 2}, {}, {},
                      pool);
    for (int i = 0; i < 2; ++i) step.Run({&batch, 1}, 1e-3);

    const TempFolder temp;
    const std::string folder = (temp.path() / "saved").string(), ids = (temp.path() / "ids.json").string();
    SaveParameters(*parameters, folder, {.dtype = WeightType(precision)}, pool);
    WriteFile(ids, lists.dump());
    std::vector<double> losses;
    for (const double loss : step.pass().Losses(batch)) losses.push_back(loss);
    EXPECT_EQ(losses.size(), 39u + 1u + 32u);

    std::vector<std::string> arguments = {"score", "-m", folder, "--ids-file", ids, "--kv", "fp32", "--json"};
    if (precision == Precision::kBF16) arguments.insert(arguments.end(), {"--compute", "fast"});
    const ProgramResult result = RunProgramBinary(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    std::vector<double> scores;
    for (const Json& line : JsonLines(result.out)) {
      for (const double logprob : line.at("logprobs")) scores.push_back(-logprob);
    }
    EXPECT_EQ(scores, losses);
  }
}

}  // namespace
}  // namespace stablelm
