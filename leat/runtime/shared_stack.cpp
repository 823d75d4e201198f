#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <leat/drive/op_engine.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/janitor.hpp>
#include <leat/runtime/open_tap.hpp>
#include <leat/runtime/packet_memory.hpp>
#include <leat/runtime/shard_token.hpp>
#include <leat/runtime/shard_watch.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <leat/runtime/sleeper.hpp>
#include <utility>
#include <vector>

namespace leat {
namespace {

// How long a caller looks at an operation that another thread is about to run, in pauses, before it sleeps: some 10 us,
// as long as a turn with packets for many takes; a sleep costs two threads more than that.
constexpr unsigned kPostedSpins = 400;
constexpr unsigned kYieldMask = 255;
// Where threads take turns, a spin must end within what a sleep costs them all.
constexpr Duration kSharedSpin = Duration::us(10);
// While spinning has been losing it is tried once in so many waits.
constexpr unsigned kProbe = 32;
constexpr int kMostCredit = 16;
// A thread may be bound to other CPUs later: look again after so many waits.
constexpr unsigned kAffinityWaits = 4096;
// Waits of one caller in a row after which it is likely that the next one is its own, too.
constexpr unsigned kLedOften = 32;

// Counts the forks that led to this process; a stack of an earlier count is the parent's. Written in the child before
// any other thread exists, read by every call. Relaxed: no thread of the parent is there to race with.
std::atomic<std::uint32_t> forks{0};

void watch_forks() {
  [[maybe_unused]] static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
}

// What is to be done by a thread as soon as it holds no token: the `completed` functions of operations.
struct FollowUps {
  Op* head = nullptr;
  Op* tail = nullptr;
  bool running = false;
};
thread_local FollowUps follow_ups;
thread_local HeldToken* held_tokens = nullptr;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

struct SharedStack::Inside {
  using Atomics = sync::StdAtomics;
  using Sleeper = leat::Sleeper;
  static constexpr unsigned kForeignOps = 64;
  static constexpr unsigned kAlone = 8;

  Inside(const SharedStackOptions& o, ReservedStorage&& s, PacketMemory&& m, ShardWatch&& w)
      : options(o),
        storage(std::move(s)),
        memory(std::move(m)),
        watch(std::move(w)),
        stack(storage.view(memory.pool()), *o.modules, o.entropy, monotonic_now()),
        ports(o.interfaces),
        shard(stack, ports, o.budgets),
        engine(stack),
        token(*this) {
    shard.check_invariants_every_turn(o.check_invariants);
  }
  ~Inside() {
    janitor.stop();
    mark->ended.store(true, std::memory_order_relaxed);
    for (const DevicePort& port : ports)
      if (port.attached()) (void)shard.detach(port.interface());
  }

  [[nodiscard]] bool forked() const { return generation != forks.load(std::memory_order_relaxed); }

  // --- what ShardToken asks for, under the token
  bool start(Op& op) {
    now_ = monotonic_now();
    fresh_ = true;
    stack.set_now(now_);
    return engine.start(op);
  }
  bool withdraw(Op& op, Errc why) { return engine.withdraw(op, why); }
  void withdraw_all(Errc why) { engine.withdraw_all(why); }
  void reset_peers() { shard.reset_peers(monotonic_now()); }
  Op* take_completed() { return engine.take_completed(); }
  Instant turn() {
    now_ = monotonic_now();
    return settled(shard.turn(now_));
  }
  Instant flush() {
    if (!fresh_) now_ = monotonic_now();
    return settled(shard.flush(now_));
  }
  Instant settled(Instant next) {
    fresh_ = false;
    if (engine.settle(now_)) return now_;
    return earlier(next, engine.next_deadline());
  }
  [[nodiscard]] Instant turn_time() const { return now_; }
  [[nodiscard]] std::uint64_t received() const { return shard.received(); }
  [[nodiscard]] bool checks() const { return options.check_invariants; }
  bool before_sleep() {
    bool sleep = true;
    for (DevicePort& port : ports)
      if (port.attached() && !port.device()->before_sleep()) sleep = false;
    return sleep;
  }
  void after_sleep() {
    for (DevicePort& port : ports)
      if (port.attached()) port.device()->after_sleep();
  }
  void arm(Sleeper& s, bool on) {
    if (direct_ != nullptr) put_device_back();
    led_ = 0;
    s.arm(on);
  }
  // A caller who watches again and again, with nobody between, looks at the device by itself.
  void led_again(Sleeper& s) {
    if (direct_ != nullptr || ++led_ != kLedOften) return;
    const int fd = watch.only_device();
    if (fd < 0 || !s.join_device(fd)) return;
    direct_ = &s;
    direct_fd_ = fd;
    watch.mute_device(fd, true);
  }
  void put_device_back() {
    watch.mute_device(direct_fd_, false);
    std::exchange(direct_, nullptr)->leave_device(direct_fd_);
  }
  // A device that is attached no longer: if we opened it, it ends, so that the kernel's side goes and its name is free.
  void end_tap(const AnyDevice* device) {
    std::erase_if(taps, [device](const auto& open) { return &open->device == device; });
  }
  void set_timer(Instant when) { watch.set_timer(when); }
  ShardWatch::Drained drain_watch() { return watch.drain(); }

  // --- and from any thread
  [[nodiscard]] Sleeper* sleeper() const { return ThreadSleepers::find(mark, watch.fd()); }
  static void ref(Sleeper& s) { s.ref(); }
  static void unref(Sleeper& s) { s.unref(); }
  static void wake(Sleeper& s) { s.wake(); }
  void kick() const { watch.kick(); }
  void ask_janitor() { janitor.ask(); }
  void wake_janitor() { janitor.ring(); }
  static Sleeper::Woken sleep(Sleeper& s, int also_fd) { return s.sleep(also_fd, -1); }
  static void sleep_alone(Sleeper& s) { s.sleep_alone(); }
  static void pause() { pause_cpu(); }
  static void pause_long() { ::sched_yield(); }
  [[nodiscard]] static Instant now() { return monotonic_now(); }
  [[nodiscard]] static HeldToken*& held() { return held_tokens; }

  // Appends a list of operations, linked by list_next, and tells all that wait if this thread holds no token.
  static void follow_up(Op* list) {
    FollowUps& f = follow_ups;
    if (list != nullptr) {
      Op* last = list;
      while (last->list_next != nullptr) last = last->list_next;
      (f.head == nullptr ? f.head : f.tail->list_next) = list;
      f.tail = last;
    }
    if (f.head == nullptr || f.running || held_tokens != nullptr) return;
    f.running = true;
    while (f.head != nullptr) {
      Op& op = *f.head;
      f.head = op.list_next;
      op.list_next = nullptr;
      op.completed(op);  // may use it again, or end it
    }
    f.running = false;
  }

  // How it waits: spins for a time when the policy says so, and a few rounds for an owner that is at work.
  bool begin_spin(Sleeper& s, SpinReason why) {
    s.spin_rounds = 0;
    s.spin_left = 0;
    if (!options.wait.only_if_wins && options.wait.spin > Duration{}) {
      s.spin_until = monotonic_now() + options.wait.spin;
      return true;
    }
    if (why.owner) {
      s.spin_left = s.one_cpu ? 0 : kPostedSpins;
      return !s.one_cpu;
    }
    if (++s.waits % kAffinityWaits == 0) s.look_at_affinity();
    // Of those who wait for packets one can make them come; the others would keep a CPU from it, and from its peer.
    if (!options.wait.only_if_wins || s.one_cpu || !(why.leads || why.alone)) return false;
    s.credit = why.alone ? &credit_alone : &credit_shared;
    if (s.credit->load(std::memory_order_relaxed) == 0 && s.waits % kProbe != 0) return false;
    s.spin_until = monotonic_now() + (why.alone ? options.wait.spin : std::min(options.wait.spin, kSharedSpin));
    return true;
  }
  static bool spin_on(Sleeper& s) {
    if (s.spin_left > 0) return --s.spin_left > 0;
    if ((++s.spin_rounds & 7U) != 0) return true;
    if ((s.spin_rounds & kYieldMask) == 0) ::sched_yield();  // there may be more who want to run than CPUs
    return monotonic_now() < s.spin_until;
  }
  static void end_spin(Sleeper& s, bool won) {
    std::atomic<int>* const credit = std::exchange(s.credit, nullptr);
    if (credit == nullptr) return;
    const int now = credit->load(std::memory_order_relaxed);
    credit->store(won ? std::min(now + 1, kMostCredit) : std::max(now - 4, 0), std::memory_order_relaxed);
  }
  [[nodiscard]] static unsigned posted_spins(const Sleeper& s) { return s.one_cpu ? 0 : kPostedSpins; }

  SharedStackOptions options;
  std::uint32_t generation = forks.load(std::memory_order_relaxed);
  ThreadSleepers::Mark mark = std::make_shared<ShardMark>();
  ReservedStorage storage;
  PacketMemory memory;
  ShardWatch watch;
  std::vector<std::unique_ptr<OpenTap>> taps;  // under the token; those that are attached at the end go last
  Stack stack;
  std::vector<DevicePort> ports;
  Shard shard;
  OpEngine engine;
  Instant now_;
  bool fresh_ = false;
  // Under the token: the armed sleeper that has the device in its own set; it is muted in the watch meanwhile.
  Sleeper* direct_ = nullptr;
  int direct_fd_ = -1;
  unsigned led_ = 0;
  // How well spinning did, of threads that wait alone and of those that take turns. Written and read by threads that
  // wait; relaxed: a guess, and a lost update does no harm.
  std::atomic<int> credit_alone{kMostCredit};
  std::atomic<int> credit_shared{kMostCredit};
  ShardToken<Inside> token;
  Janitor janitor;
};

// --- making and ending -----------------------------------------------------------------------------------------------

Result<std::shared_ptr<SharedStack>> SharedStack::make(const SharedStackOptions& options) {
  watch_forks();
  auto storage = ReservedStorage::make(options.limits);
  if (!storage) return fail(storage.error());
  auto memory = PacketMemory::make(hosted_pool_layout(options.packet_memory));
  if (!memory) return fail(memory.error());
  auto watch = ShardWatch::make();
  if (!watch) return fail(watch.error());
  auto inside = std::make_unique<Inside>(options, std::move(*storage), std::move(*memory), std::move(*watch));
  if (options.janitor) {
    Inside& in = *inside;
    using Token = ShardToken<Inside>;
    Sleeper* const janitor =
        in.janitor.start(in.mark, in.watch.fd(),
                         {.serve = Delegate<void(Sleeper&)>::to<&Token::janitor_serves>(in.token),
                          .grace_ends = Delegate<JanitorPlan(Sleeper&)>::to<&Token::janitor_grace_ends>(in.token)});
    if (janitor == nullptr) return fail(Errc::no_memory);
    in.token.janitor_starts(*janitor);
  }
  return std::shared_ptr<SharedStack>(new SharedStack(std::move(inside)));
}

SharedStack::SharedStack(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}

SharedStack::~SharedStack() {
  if (inside_->forked()) {
    // The parent's: its devices, its sets in the kernel. The memory is the price of leaving them alone.
    (void)inside_.release();  // NOLINT(bugprone-unused-return-value)
    return;
  }
  stop();
}

void SharedStack::stop() {
  if (!inside_->forked()) inside_->token.stop();
}

bool SharedStack::stopped() const {
  return inside_->forked() || inside_->token.dead();
}

Shard& SharedStack::shard() {
  return inside_->shard;
}

PacketPool& SharedStack::pool() {
  return inside_->memory.pool();
}

// --- calls -----------------------------------------------------------------------------------------------------------

void SharedStack::run(Op& op) {
  if (inside_->forked()) {
    op.error = Errc::shut_down;
    op.count = 0;
    return;
  }
  inside_->token.run(op);
}

void SharedStack::start(Op& op) {
  if (inside_->forked()) {
    ShardToken<Inside>::start_copy(op);
  } else {
    inside_->token.start(op);
  }
}

void SharedStack::cancel(Op& op) {
  if (inside_->forked()) {
    ShardToken<Inside>::cancel_copy(op);
  } else {
    inside_->token.cancel(op);
  }
}

Instant SharedStack::now() const {
  return monotonic_now();
}

int SharedStack::pollable_fd() {
  if (inside_->forked()) return -1;
  inside_->token.program_watches();
  return inside_->watch.fd();
}

void SharedStack::release_pollable_fd() {
  if (!inside_->forked()) inside_->token.program_leaves();
}

Instant SharedStack::poll() {
  return inside_->forked() ? Instant::never() : inside_->token.poll();
}

Result<void> SharedStack::call(Delegate<void()> function) {
  if (inside_->forked()) return fail(Errc::shut_down);
  OwnerCall op;
  op.function = function;
  inside_->token.run(op);
  return op.done();
}

ShardTokenCounters SharedStack::counters() {
  ShardTokenCounters counters;
  (void)with_owner([&](Shard&) { counters = inside_->token.counters(); });
  return counters;
}

// --- devices ---------------------------------------------------------------------------------------------------------

Result<InterfaceId> SharedStack::attach(AnyDevice& device, const AttachOptions& options,
                                        std::span<const IpPrefix> addresses) {
  Result<InterfaceId> id = fail(Errc::shut_down);
  const Result<void> called = with_owner([&](Shard& s) {
    id = s.attach(device, options);
    if (!id) {
      inside_->end_tap(&device);
      return;
    }
    Errc problem{};
    for (const IpPrefix& address : addresses)
      if (const auto r = s.stack().add_address(*id, address); !r && problem == Errc{}) problem = r.error();
    if (problem == Errc{} && device.poll_fd() >= 0)
      if (const auto r = inside_->watch.add_device(device.poll_fd(), device.caps().rx_level); !r) problem = r.error();
    if (problem == Errc{}) return;
    (void)s.detach(*id);
    inside_->end_tap(&device);
    id = fail(problem);
  });
  if (!called) return fail(called.error());
  return id;
}

Result<void> SharedStack::detach(InterfaceId interface) {
  Result<void> result;
  const Result<void> called = with_owner([&](Shard& s) {
    const AnyDevice* device = nullptr;
    for (DevicePort& port : s.ports()) {
      if (!port.attached() || port.interface() != interface) continue;
      device = port.device();
      if (device->poll_fd() < 0) continue;
      if (inside_->direct_ != nullptr) inside_->put_device_back();
      inside_->watch.remove_device(device->poll_fd());
    }
    result = s.detach(interface);
    inside_->end_tap(device);
  });
  return called ? result : called;
}

Result<InterfaceId> SharedStack::open_tap(std::string_view name, std::initializer_list<std::string_view> addresses,
                                          TapProblem* why) {
  const auto prefixes = parse_addresses(addresses, why);
  if (!prefixes) return fail(prefixes.error());
  OpenTap* opened = nullptr;
  Errc problem{};
  const Result<void> called = with_owner([&](Shard&) {  // the device takes chunks of the pool
    auto tap = Tap::open({.name = name}, inside_->memory.pool(), why);
    if (!tap) {
      problem = tap.error();
      return;
    }
    opened = inside_->taps.emplace_back(std::make_unique<OpenTap>(std::move(*tap))).get();
  });
  if (!called) return fail(called.error());
  if (opened == nullptr) return fail(problem);
  return attach(opened->device, {.name = name}, *prefixes);
}

}  // namespace leat
