// Log-probabilities of a text, and what the model expected instead: score MODEL TEXT
#include <stablelm/stablelm.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: score MODEL TEXT\n";
    return 2;
  }
  auto model = stablelm::LanguageModel::Load(argv[1]);
  const std::vector<int32_t> ids = model.Tokenize(argv[2]);
  const stablelm::Scores scores = model.Score(ids, {.top_logprobs = 3});
  double sum = 0;
  for (size_t t = 0; t < scores.logprobs.size(); ++t) {
    sum += scores.logprobs[t];
    std::cout << model.Detokenize(std::span(ids).subspan(t + 1, 1)) << "  " << scores.logprobs[t] << "  expected";
    for (const stablelm::Alternative& one : scores.top[t]) {
      std::cout << "  \"" << model.Detokenize(std::span(&one.id, 1)) << "\" " << one.logprob;
    }
    std::cout << "\n";
  }
  std::cout << "sum " << sum << "\n";
} catch (const stablelm::ModelError& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
