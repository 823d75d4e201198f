// leat.h: a stack of this process behind the handle.

#include <algorithm>
#include <cstring>
#include <leat/c/stack.hpp>
#include <leat/device/shm/shm_unsafe.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace {

using leat::DeviceRef;
using leat::IpPrefix;
using leat::SharedStack;
using leat::Shm;
using leat::ShmPair;
using leat::c::answer;
using leat::c::guarded;

constexpr std::uint32_t kMostConnections = 16'000'000;
constexpr std::uint32_t kMostInterfaces = 1024;

// A device that a stack uses, and what must live as long.
struct Wire {
  explicit Wire(Shm&& opened) : own(std::move(opened)), end(*own) {}
  Wire(std::shared_ptr<ShmPair> pair, Shm& side) : shared(std::move(pair)), end(side) {}
  std::optional<Shm> own;
  std::shared_ptr<ShmPair> shared;
  DeviceRef<Shm> end;
  leat::InterfaceId interface = leat::kNoInterface;
};

struct InProcess final : leat_stack {
  explicit InProcess(std::shared_ptr<SharedStack> s) : leat_stack(s), stack(std::move(s)) {}
  ~InProcess() override {
    net.reset();    // closes what is open while the stack still runs
    stack->stop();  // peers hear of it, while the wires are there
    stack.reset();
    service.reset();  // the last: the wires may go
  }
  // Takes the device; the interface's number.
  int attach(std::unique_ptr<Wire> wire, std::string_view name, std::span<const IpPrefix> addresses) {
    const auto id = stack->attach(wire->end, {.name = name}, addresses);
    if (!id) return answer(id.error());
    wire->interface = *id;
    const std::lock_guard lock(mutex);
    wires.push_back(std::move(wire));
    return *id;
  }
  // "join", "join1" ...: a stack may be joined with several.
  [[nodiscard]] std::string join_name() {
    const std::lock_guard lock(mutex);
    return joins++ == 0 ? "join" : "join" + std::to_string(joins - 1);
  }
  void detach(leat::InterfaceId interface) {
    const std::lock_guard lock(mutex);
    (void)stack->detach(interface);
    std::erase_if(wires, [interface](const auto& w) { return w->interface == interface; });
  }
  std::shared_ptr<SharedStack> stack;
  std::mutex mutex;
  std::vector<std::unique_ptr<Wire>> wires;  // guarded by mutex
  unsigned joins = 0;                        // and so is this
};

InProcess& inside(leat_stack* stack) {
  return *static_cast<InProcess*>(stack);  // this file alone makes them
}

std::optional<std::vector<IpPrefix>> parse(const char* const* addresses, std::size_t count) {
  std::vector<IpPrefix> all;
  if (addresses == nullptr && count > 0) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    const auto p = IpPrefix::parse(addresses[i] == nullptr ? "" : addresses[i]);
    if (!p) return std::nullopt;
    all.push_back(*p);
  }
  return all;
}

// The caller's options, as far as he knows them; the defaults for the rest.
std::optional<leat_options> read_options(const leat_options* given) {
  leat_options o = LEAT_OPTIONS_INIT;
  if (given == nullptr) return o;
  if (given->size < sizeof given->size || given->size > 4096) return std::nullopt;
  std::memcpy(&o, given, std::min<std::size_t>(given->size, sizeof o));
  const bool fits = o.connections > 0 && o.connections <= kMostConnections && o.interfaces > 0 &&
                    o.interfaces <= kMostInterfaces && o.packet_memory >= (std::uint64_t{1} << 20) &&
                    o.wait <= LEAT_WAIT_SPIN && o.no_janitor <= 1 && o.reserved == 0;
  if (!fits) return std::nullopt;
  return o;
}

}  // namespace

int leat_create(const leat_options* options, leat_stack** stack) {
  if (stack == nullptr) return -EINVAL;
  *stack = nullptr;
  try {
    const auto o = read_options(options);
    if (!o) return -EINVAL;
    leat::SharedStackOptions how;
    how.limits = leat::hosted_limits(o->connections);
    how.packet_memory = o->packet_memory;
    how.interfaces = o->interfaces;
    how.limits.iface.interfaces = std::max(how.limits.iface.interfaces, o->interfaces);
    how.wait = o->wait == LEAT_WAIT_SPIN    ? leat::WaitPolicy::spinning()
               : o->wait == LEAT_WAIT_SLEEP ? leat::WaitPolicy::sleeping()
                                            : leat::WaitPolicy::adaptive();
    how.janitor = o->no_janitor == 0;
    auto made = SharedStack::make(how);
    if (!made) return answer(made.error());
    *stack = std::make_unique<InProcess>(std::move(*made)).release();
    return 0;
  } catch (...) {
    return -ENOMEM;
  }
}

void leat_destroy(leat_stack* stack) {
  const std::unique_ptr<leat_stack> ended(stack);
}

int leat_open_tap(leat_stack* stack, const char* name, const char* const* addresses, size_t count) {
  return guarded(stack, [&] {
    const auto prefixes = parse(addresses, count);
    if (!prefixes || name == nullptr) return -EINVAL;
    const auto id = inside(stack).stack->open_tap(name, {});
    if (!id) return answer(id.error());
    for (const IpPrefix& p : *prefixes) {
      leat::Result<void> added;
      const auto called =
          inside(stack).stack->with_owner([&](leat::Shard& s) { added = s.stack().add_address(*id, p); });
      if (!called || !added) {
        (void)inside(stack).stack->detach(*id);
        return called ? answer(added) : answer(called);
      }
    }
    return static_cast<int>(*id);
  });
}

int leat_open_shm(leat_stack* stack, const char* name, const char* const* addresses, size_t count) {
  return guarded(stack, [&] {
    const auto prefixes = parse(addresses, count);
    if (!prefixes || name == nullptr) return -EINVAL;
    auto opened = Shm::open(name, {.mtu = 9000}, inside(stack).stack->pool());
    if (!opened) return answer(opened.error());
    return inside(stack).attach(std::make_unique<Wire>(std::move(*opened)), name, *prefixes);
  });
}

int leat_join(leat_stack* a, const char* const* addresses_a, size_t count_a, leat_stack* b,
              const char* const* addresses_b, size_t count_b) {
  if (b == nullptr || a == b) return -EINVAL;
  return guarded(a, [&] {
    const auto of_a = parse(addresses_a, count_a), of_b = parse(addresses_b, count_b);
    if (!of_a || !of_b) return -EINVAL;
    auto made = ShmPair::make({.mtu = 9000}, inside(a).stack->pool(), inside(b).stack->pool());
    if (!made) return answer(made.error());
    const std::shared_ptr<ShmPair> pair(std::move(*made));
    const int first = inside(a).attach(std::make_unique<Wire>(pair, pair->a()), inside(a).join_name(), *of_a);
    if (first < 0) return first;
    const int second = inside(b).attach(std::make_unique<Wire>(pair, pair->b()), inside(b).join_name(), *of_b);
    if (second >= 0) return first;
    inside(a).detach(static_cast<leat::InterfaceId>(first));
    return second;
  });
}
