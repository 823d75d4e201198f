#pragma once
// SharedStack: one stack that any thread of the process may call, at any time. A caller does the work itself when the
// stack is free, the look at the devices included; when it is not, whoever works on it does the caller's work too.
// There is no message, no hop to another thread and no allocation on the way.
//
//   auto stack = leat::SharedStack::make({}).value();
//   stack->open_tap("leat0", {"10.9.0.2/24", "fd09::2/64"}).value();
//   Op op;  op.open(SocketKind::stream);  stack->run(op);  ...              // op/op.hpp, or a form: api/
//
// While a caller waits it watches the devices for all; when nobody does a thread of the stack's own (the janitor)
// takes over after 1 to 8 ms, so that timers and acknowledgements go on while the program computes. An idle stack
// uses no CPU. The rules are in docs/: "The shared stack: token, inbox, sleep".
//
// Threading: every function from any thread. The stack and its shard themselves only inside with_owner(). After fork
// the child's calls fail with shut_down and nothing of the child's reaches a device; the parent does not notice. What
// was started before the fork ends in the child, with shut_down, when the child cancels it.
//
// Lifetime: by shared_ptr; who calls holds one. stop() fails all calls, those that wait included.

#include <initializer_list>
#include <leat/core/all_modules.hpp>
#include <leat/device/tap_unsafe.hpp>
#include <leat/drive/shard.hpp>
#include <leat/op/service.hpp>
#include <leat/runtime/entropy.hpp>
#include <leat/runtime/owner_call.hpp>
#include <leat/runtime/reserved_storage.hpp>
#include <leat/runtime/wait_policy.hpp>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

namespace leat {

struct SharedStackOptions {
  Limits limits = hosted_limits(4096);
  std::size_t packet_memory = std::size_t{128} << 20;  // when all of it is in use
  std::size_t interfaces = 4;
  Entropy entropy = system_entropy();
  const Modules* modules = &kAllModules;  // lives as long as the stack
  Budgets budgets = {};
  WaitPolicy wait = WaitPolicy::adaptive();
  bool janitor = true;
  bool check_invariants = false;  // after every turn; for tests
};

struct ShardTokenCounters;

class SharedStack final : public Service, public std::enable_shared_from_this<SharedStack> {
 public:
  // Errors: no_memory (address space, descriptors, threads).
  [[nodiscard]] static Result<std::shared_ptr<SharedStack>> make(const SharedStackOptions& options = {});
  ~SharedStack();
  SharedStack(const SharedStack&) = delete;
  SharedStack& operator=(const SharedStack&) = delete;

  // A device of the caller's, which outlives the stack or its stop() and detach().
  Result<InterfaceId> attach(AnyDevice& device, const AttachOptions& options, std::span<const IpPrefix> addresses);
  Result<void> detach(InterfaceId interface);
  // Opens a TAP, brings it up, attaches it with these addresses ("10.9.0.2/24"). `why` says what went wrong in words.
  // It ends when it is detached, or is not attached after all.
  Result<InterfaceId> open_tap(std::string_view name, std::initializer_list<std::string_view> addresses,
                               TapProblem* why = nullptr);

  // Runs function(Shard&) under the token, perhaps in another thread that works on the stack just then, and waits for
  // it. It must not block, throw, or call this object. Errors: shut_down, again (called from inside).
  template <class F>
  Result<void> with_owner(F&& function) {
    struct Context {
      std::remove_reference_t<F>* function;
      Shard* shard;
    } context{&function, &shard()};
    return call({[](void* c) {
                   auto* const x = static_cast<Context*>(c);
                   (*x->function)(*x->shard);
                 },
                 &context});
  }

  // For devices that are attached later: the pool is touched under the token only, as devices are.
  [[nodiscard]] PacketPool& pool();

  // Ends it: everything that waits and every later call gets shut_down, and the peers of its connections a RST through
  // the devices that are attached still. From any thread, more than once.
  void stop();
  [[nodiscard]] bool stopped() const;

  void run(Op& op) override;
  void start(Op& op) override;
  void cancel(Op& op) override;
  [[nodiscard]] Instant now() const override;
  [[nodiscard]] int pollable_fd() override;
  void release_pollable_fd() override;
  Instant poll() override;

  // What the protocol did so far; zeros after the end.
  [[nodiscard]] ShardTokenCounters counters();

 private:
  struct Inside;
  explicit SharedStack(std::unique_ptr<Inside> inside);
  [[nodiscard]] Shard& shard();
  Result<void> call(Delegate<void()> function);

  std::unique_ptr<Inside> inside_;
};

}  // namespace leat
