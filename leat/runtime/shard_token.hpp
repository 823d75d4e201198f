#pragma once
// ShardToken: who owns a shard, who watches its devices, and who sleeps: the whole of shared-stack-protocol.md but for
// the system calls, which the World makes. A template, so that the schedule-enumerating test runs this very source.
//
//   call: enter -> free: run it here, flush, complete others, leave        held: leave the Op on the word, wait for it
//   wait: spin a little -> park -> sleep in the World -> the watcher turns the shard, the others are completed by it
//
// Three things move with the token and are plain: the backlog (posted and not run yet), the watcher (nobody, a blocked
// caller, the janitor, the program's own event loop), and the list of callers who wait, latest first. Invariants: with
// somebody in that list there is a watcher; at most one sleeper is armed, and whoever watches is; an Op that is POSTED
// has a thread that looks at its state, so that it may be granted.
//
// World:  types Atomics, Sleeper (derived from SleeperState<Atomics>); kForeignOps, the budget of rule 6; kAlone,
//         the waits in a row after which a thread counts as alone
//   under the token   start, withdraw, withdraw_all, reset_peers (once, at the end), take_completed, turn, flush,
//                     turn_time, received, checks, before_sleep, after_sleep, arm, led_again (who is armed still
//                     becomes the watcher once more), set_timer, drain_watch
//   from any thread   sleeper, ref, unref, wake, kick, ask_janitor, wake_janitor, sleep, sleep_alone, pause,
//   pause_long,
//                     begin_spin, spin_on, end_spin, posted_spins, now, held, follow_up
//
// Here is the class; its functions stand in shard_token_enter (the calls), _leave, _operations, _wait, and _watch (who
// watches, the janitor's part). Include this header, not those.
//
// Threading: any thread calls the public functions. RFCs: none; read shared-stack-protocol.md first: rules are named by
// their numbers.

#include <algorithm>
#include <leat/base/static_vector.hpp>
#include <leat/runtime/owner_call.hpp>
#include <leat/sync/token_word.hpp>

namespace leat {

// How waits went on.
struct WaitCounters {
  std::uint64_t spins_won = 0;   // its operation ended while it spun
  std::uint64_t spins_lost = 0;  // it went to sleep after all
  std::uint64_t sleeps = 0;      // calls to the kernel to sleep
  void take(WaitCounters& from) {
    spins_won += from.spins_won;
    spins_lost += from.spins_lost;
    sleeps += from.sleeps;
    from = {};
  }
};

// What the protocol keeps of a thread that waits on a shard. Guarded by the token but for what says otherwise.
template <class Atomics>
struct SleeperState {
  SleeperState() { turn.PostNode::kind = PostKind::turn; }
  Op* op = nullptr;  // that it waits for, when it is in the list of those who wait
  SleeperState* later = nullptr;
  SleeperState* earlier = nullptr;
  Op turn;                   // how it asks the owner for a turn (rule 10)
  bool turn_posted = false;  // its own thread's
  WaitCounters tally;        // its own thread's; goes to the token's counters when it next enters to wait
  // `leads` is written by the owner of the token and read by the sleeper's thread; `spins` is written by that thread
  // and read by owners, who need not have it rung then. seq_cst where one is made the watcher and where one has spun:
  // the owner sets `leads` and looks at `spins`, the thread clears `spins` and looks at `leads`, and one of them tells
  // the devices. Else relaxed: hints; what they lead to happens under the token.
  typename Atomics::template Atomic<bool> leads{false};
  // Its operation was run and waits for packets. Cleared by its thread before a post, set by an owner; a hint.
  typename Atomics::template Atomic<bool> linked{false};
  typename Atomics::template Atomic<bool> spins{false};
};

// What somebody who may spin waits for.
struct SpinReason {
  bool owner = false;  // that an owner who is at work runs its operation; else packets:
  bool leads = false;  // it watches
  bool alone = false;  // nobody else has waited lately
};

// The shards whose tokens this thread holds (rule 18), as a list of frames.
struct HeldToken {
  const void* shard = nullptr;
  HeldToken* outer = nullptr;
};

enum class JanitorMode : std::uint8_t { deep, grace, leading };
// How long a grace lasts: the shorter one, and twice as long each time that it ends with the program at work.
inline constexpr Duration kShortGrace = Duration::ms(1);
inline constexpr Duration kLongGrace = Duration::ms(8);
// So many looks without a deadline that it had to be rung for, and the longest grace is tried again.
inline constexpr unsigned kLooksInTime = 64;
struct JanitorPlan {
  JanitorMode mode = JanitorMode::grace;
  Duration grace = kShortGrace;
};

struct ShardTokenCounters {
  std::uint64_t foreign_ops = 0;  // run for others
  std::uint64_t grants = 0;       // token handed to a spinning caller
  std::uint64_t left_behind = 0;  // work left on the word
  std::uint64_t role_moves = 0;   // the watcher changed
  std::uint64_t takeovers = 0;    // the watch was taken from one who slept
  std::uint64_t departures = 0;   // nobody watched any more
  std::uint64_t turns = 0;
  std::uint64_t janitor_turns = 0;
  std::uint64_t timer_writes = 0;
  std::uint64_t wakes = 0;  // bells of sleepers that were rung
  WaitCounters waits;       // without what a thread did since it last came to wait
};

template <class World>
class ShardToken {
 public:
  using Atomics = typename World::Atomics;
  using Word = sync::TokenWord<Atomics>;
  using Sleeper = typename World::Sleeper;
  static constexpr unsigned kForeignOps = World::kForeignOps;  // rule 6
  static constexpr unsigned kAlone = World::kAlone;            // waits in a row

  explicit ShardToken(World& world) : world_(&world) {}
  ShardToken(const ShardToken&) = delete;
  ShardToken& operator=(const ShardToken&) = delete;

  // Blocks until it is done.
  void run(Op& op);
  // Tells by op.completed.
  void start(Op& op);
  void cancel(Op& op);
  // In a child of a fork, which has a copy of it that nobody will look at again.
  static void start_copy(Op& op);
  static void cancel_copy(Op& op);
  // One turn if the token is free. When to come again; the past: at once.
  Instant poll();
  // Ends the shard: every later call answers shut_down. Returns when the word is dead and all operations are complete.
  void stop();
  // The program's event loop watches from now on, whenever no caller does; or no more.
  void program_watches();
  void program_leaves();

  // The janitor's thread (rule 14). `serve`: something on the watch, or somebody asked for a turn.
  void janitor_starts(Sleeper& janitor);
  void janitor_serves(Sleeper& janitor) { (void)serve(nullptr, janitor); }
  // What it does next. When it is rung it is in grace, a short one.
  [[nodiscard]] JanitorPlan janitor_grace_ends(Sleeper& janitor);

  [[nodiscard]] bool dead() const { return word_.dead(); }
  [[nodiscard]] bool held_here() const { return holds(); }
  // Under the token.
  [[nodiscard]] const ShardTokenCounters& counters() const { return counters_; }
  void check_invariants() const;

 private:
  enum class Watcher : std::uint8_t { nobody, caller, janitor, program };
  // How far a cancellation is (Op::cancel_state).
  enum class Cancel : std::uint32_t {
    idle,
    on_its_way,  // the cancel node is posted, or is about to be
    closed,      // the owner has completed the Op; with a node on its way that node publishes it
    asked,       // the owner has seen the node
    dead,        // the node could not be posted: whoever completes the Op publishes it
  };

  // One period of ownership, in its thread's frame.
  struct Visit {
    HeldToken held;
    Sleeper* self = nullptr;  // of this thread, as far as it has been needed
    Op* own = nullptr;        // whose end ends the call
    bool own_done = false;
    bool want_turn = false;
    bool woken = false;        // by the watch: it may need draining
    bool looks_again = false;  // whoever made the visit heeds the next one
    bool again = false;        // the watcher need not sleep: there is more to do
    bool wake_janitor = false;
    bool entered = false;
    Instant next = Instant::never();
    StaticVector<Sleeper*, 64> wakes;  // rule 7, each with a reference
    Op* finished_head = nullptr;       // to be told by `completed`, by list_next
    Op* finished_tail = nullptr;
    Op* turns = nullptr;  // turn operations that wait for the turn, by list_next
    Op* stop = nullptr;
  };
  static typename Atomics::template Ref<std::uint32_t> cancel_state(Op& op) {
    return typename Atomics::template Ref<std::uint32_t>{op.cancel_state};
  }
  static std::uint32_t value(Cancel c) { return static_cast<std::uint32_t>(c); }

  // --- entering and leaving
  [[nodiscard]] bool holds() const {
    for (const HeldToken* h = world_->held(); h != nullptr; h = h->outer)
      if (h->shard == this) return true;
    return false;
  }
  void hold(Visit& v) {
    v.held = {this, world_->held()};
    world_->held() = &v.held;
    v.entered = true;
  }
  void unhold(Visit& v) {
    world_->held() = v.held.outer;
    v.entered = false;
  }
  typename Word::Enter enter(Visit& v) {
    hold(v);  // before the exchange: a signal handler that interrupts us right behind it must find it
    const auto e = word_.enter(backlog_);
    if (e != Word::Enter::entered) unhold(v);
    return e;
  }
  void leave(Visit& v);
  void after_leave(Visit& v);
  bool pass_on(Visit& v);
  void prepare_to_leave(Visit& v);
  void kick(Visit& v);
  void kill(Visit& v);

  // function(Op& this_call), under the token; waits for it.
  template <class F>
  void run_as_owner(F function);

  // --- operations, under the token
  bool begin(Op& op);
  void run_own(Op& op, Visit& v);
  void run_posted(PostNode& node, Visit& v);
  bool run_op(Op& op, Visit& v);
  void run_call(Op& op) {
    static_cast<OwnerCall&>(op).function();
    told_ = false;  // it may have attached a device
  }
  void do_turn(Visit& v);
  void do_flush(Visit& v);
  void publish_completed(Visit& v);
  void publish(Op& op, Visit& v);
  void finish(Op& op, Visit& v);
  void push_wake(Sleeper& s, Visit& v);
  void end_early(Op& op, Visit& v);
  bool take_cancel(Op& op, Visit& v);
  void handle_cancel(Op& op, Visit& v);
  void end_posted(PostNode& node, Visit& v);

  // --- who waits and who watches, under the token
  void link(Sleeper& s, Op& op);
  void unlink(Sleeper& s);
  void lead(Sleeper& s, Watcher as);
  void follow_nobody();
  void disarm();
  void begin_to_wait(Sleeper& s, Op& op);
  [[nodiscard]] bool waits_alone(const Sleeper& s);
  void move_leader(Visit& v);
  void begin_grace(Visit& v);
  void hurry_janitor(Visit& v);

  // --- waiting, without the token
  enum class Served : std::uint8_t { turned, again, posted, dead };
  enum class Spun : std::uint8_t { no, in_vain, done };
  void wait(Op& op, Sleeper& s, bool was_posted, bool again);
  void look(Op& op, Sleeper& s);
  Spun spin(Op& op, Sleeper& s, bool was_posted);
  void turn_as_watcher(Op& op, Sleeper& s);
  void granted(Op& op, Sleeper& s);
  Served serve(Op* op, Sleeper& s);
  void await_turn(Op* op, Sleeper& s);
  void take_granted_turn(Op* op, Sleeper& s);
  void withdraw_own(Op& op, Sleeper& s);
  void finish_alone(Op& op);

  World* world_;
  Word word_;

  // Guarded by the token.
  sync::PostList backlog_;
  Watcher watcher_ = Watcher::nobody;
  Sleeper* leader_ = nullptr;  // who watches: a caller or the janitor
  Sleeper* armed_ = nullptr;   // whose set has the watch in it (a reference); behind leader_ only when nobody leads
  SleeperState<Atomics>* waiting_ = nullptr;  // latest first
  const Sleeper* last_to_wait_ = nullptr;     // only its address is looked at
  unsigned in_a_row_ = 0;                     // how often it was the last
  Sleeper* janitor_ = nullptr;
  JanitorMode janitor_mode_ = JanitorMode::deep;
  Duration grace_ = kShortGrace;
  Duration most_grace_ = kLongGrace;  // less after it had to be rung for a deadline
  unsigned looks_in_time_ = 0;        // since then, as far as they count
  Instant janitor_looks_;             // at the end of its grace
  std::uint64_t departures_seen_ = 0;
  Instant timer_set_ = Instant::never();
  bool kicked_ = false;
  bool told_ = false;  // devices were told that the watcher may sleep
  bool program_ = false;
  Op* stop_ = nullptr;
  ShardTokenCounters counters_;
};

}  // namespace leat

#include <leat/runtime/shard_token_enter.hpp>
#include <leat/runtime/shard_token_leave.hpp>
#include <leat/runtime/shard_token_operations.hpp>
#include <leat/runtime/shard_token_wait.hpp>
#include <leat/runtime/shard_token_watch.hpp>
