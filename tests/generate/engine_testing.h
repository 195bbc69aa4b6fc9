// Requests of tests to an engine, and what they give.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "generate/engine.h"
#include "generate/generator.h"

namespace stablelm {

struct Outcome {
  EngineResult result;
  std::vector<int32_t> streamed;
  int ends = 0;
};

inline EngineCallbacks Into(Outcome& outcome) {
  return {.reply = {.on_token = [&](const ChosenToken& token) { outcome.streamed.push_back(token.id); }},
          .on_end = [&](const EngineResult& result) {
            outcome.result = result;
            ++outcome.ends;
          }};
}

inline GenerateRequest Alone(std::vector<int32_t> prompt, int64_t tokens) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = tokens;
  return request;
}

inline GenerateResult Solo(const Transformer& model, const GenerateRequest& request, DType kv = DType::kF32) {
  ThreadPool pool(1);
  return Generate(model, request, ShapeOfGenerate(model.config(), request, kv, 1), pool);
}

inline void ExpectSame(const GenerateResult& got, const GenerateResult& want) {
  EXPECT_EQ(got.ids, want.ids);
  EXPECT_EQ(got.logprobs, want.logprobs);  // the same bits
  EXPECT_EQ(got.reason, want.reason);
  EXPECT_EQ(got.stop.id, want.stop.id);
}

inline void ExpectNothingLeft(Engine& engine) {
  const EngineStats stats = engine.Stats();
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.free_pages + stats.prefix_pages, stats.n_pages);
  engine.ForgetPrefixes();
  EXPECT_EQ(engine.Stats().free_pages, stats.n_pages);
}

}  // namespace stablelm
