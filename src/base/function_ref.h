// A reference to a function object, for parameters that are only called: unlike std::function it never allocates.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>

namespace stablelm {

template <typename Signature>
class FunctionRef;

// Copies refer to the same object, which must outlive them: a lambda in the call's arguments does.
template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
  requires(!std::same_as<std::remove_cvref_t<F>, FunctionRef> && std::is_invocable_r_v<R, F&, Args...>)
      FunctionRef(F&& object)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(object)))),
        call_([](void* of, Args... args) -> R { return (*static_cast<std::remove_reference_t<F>*>(of))(args...); }) {}

  R operator()(Args... args) const { return call_(object_, args...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

}  // namespace stablelm
