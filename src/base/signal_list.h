// A list that signal handlers may walk at any moment: what they must find (files to remove, ranges of mapped files) is
// written there by the threads that make it.
#pragma once

#include <atomic>

namespace stablelm {

// Any thread may add and remove. Nodes are never freed, only used again, so that a handler that is on one may go on to
// the next. Define it with static storage.
template <typename Value>
class SignalList {
 public:
  // Takes a free place, or makes one, lets `write` write the value, and lists it from then on. The value lives as long
  // as the program.
  template <typename Write>
  Value* Add(Write write) {
    Node* node = first_.load();
    for (; node; node = node->next) {
      int free = kFree;
      if (node->state.compare_exchange_strong(free, kChanging)) break;
    }
    if (!node) {
      node = new Node;
      node->next = first_.load();
      while (!first_.compare_exchange_weak(node->next, node)) {
      }
    }
    write(node->value);
    node->state = kListed;
    return &node->value;
  }

  // No longer lists a value that Add returned.
  void Remove(const Value* value) {
    for (Node* node = first_.load(); node; node = node->next) {
      if (&node->value == value) node->state = kFree;
    }
  }

  // Calls `visit` with every value that is listed. Async-signal-safe if `visit` is.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Node* node = first_.load(); node; node = node->next) {
      if (node->state.load() == kListed) visit(node->value);
    }
  }

 private:
  enum State : int { kFree, kChanging, kListed };
  struct Node {
    std::atomic<int> state{kChanging};
    Value value = {};
    Node* next = nullptr;
  };
  static_assert(std::atomic<int>::is_always_lock_free);

  std::atomic<Node*> first_{nullptr};
};

}  // namespace stablelm
