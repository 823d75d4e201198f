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
// World:  types Atomics, Sleeper (derived from SleeperState<Atomics>); kForeignOps, the budget of rule 6
//   under the token   start, withdraw, withdraw_all, take_completed, turn, flush, turn_time, received, checks,
//                     before_sleep, after_sleep, arm, set_timer, drain_watch
//   from any thread   sleeper, ref, unref, wake, kick, ask_janitor, wake_janitor, sleep, sleep_alone, pause,
//   pause_long,
//                     begin_spin, spin_on, end_spin, posted_spins, now, held, follow_up
//
// Threading: any thread calls the public functions. RFCs: none; read shared-stack-protocol.md first: rules are named by
// their numbers.

#include <leat/base/static_vector.hpp>
#include <leat/runtime/owner_call.hpp>
#include <leat/sync/token_word.hpp>

namespace leat {

// What the protocol keeps of a thread that waits on a shard. Guarded by the token but for what says otherwise.
template <class Atomics>
struct SleeperState {
  SleeperState() { turn.PostNode::kind = PostKind::turn; }
  Op* op = nullptr;  // that it waits for, when it is in the list of those who wait
  SleeperState* later = nullptr;
  SleeperState* earlier = nullptr;
  Op turn;                   // how it asks the owner for a turn (rule 10)
  bool turn_posted = false;  // its own thread's
  // Written by the owner of the token, read by the sleeper's thread while it spins. Relaxed: a hint; what it leads to
  // happens under the token.
  typename Atomics::template Atomic<bool> leads{false};
  // Written by the sleeper's thread, read by owners, who need not ring it then. Relaxed: the thread clears it before it
  // enters for the last time before it sleeps, and the token orders the rest.
  typename Atomics::template Atomic<bool> spins{false};
};

// The shards whose tokens this thread holds (rule 18), as a list of frames.
struct HeldToken {
  const void* shard = nullptr;
  HeldToken* outer = nullptr;
};

enum class JanitorMode : std::uint8_t { deep, grace, leading };

struct ShardTokenCounters {
  std::uint64_t foreign_ops = 0;  // run for others
  std::uint64_t grants = 0;       // token handed to a spinning caller
  std::uint64_t left_behind = 0;  // work left on the word
  std::uint64_t role_moves = 0;   // the watcher changed
  std::uint64_t departures = 0;   // nobody watched any more
  std::uint64_t turns = 0;
  std::uint64_t janitor_turns = 0;
  std::uint64_t timer_writes = 0;
};

template <class World>
class ShardToken {
 public:
  using Atomics = typename World::Atomics;
  using Word = sync::TokenWord<Atomics>;
  using Sleeper = typename World::Sleeper;
  static constexpr unsigned kForeignOps = World::kForeignOps;  // rule 6

  explicit ShardToken(World& world) : world_(&world) {}
  ShardToken(const ShardToken&) = delete;
  ShardToken& operator=(const ShardToken&) = delete;

  // Blocks until it is done.
  void run(Op& op);
  // Tells by op.completed.
  void start(Op& op);
  void cancel(Op& op);
  // One turn if the token is free. When to come again; the past: at once.
  Instant poll();
  // Ends the shard: every later call answers shut_down. Returns when the word is dead and all operations are complete.
  void stop();
  // The program's event loop watches from now on, whenever no caller does.
  void program_watches();

  // The janitor's thread (rule 14). `serve`: something on the watch, or somebody asked for a turn.
  void janitor_starts(Sleeper& janitor);
  void janitor_serves(Sleeper& janitor) { (void)serve(nullptr, janitor); }
  [[nodiscard]] JanitorMode janitor_grace_ends(Sleeper& janitor);

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
  typename Atomics::template Ref<std::uint32_t> cancel_state(Op& op) {
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

  // --- operations, under the token
  bool begin(Op& op);
  void run_own(Op& op, Visit& v);
  void run_posted(PostNode& node, Visit& v);
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
  bool end_early(Op& op, Visit& v);
  void handle_cancel(Op& op, Visit& v);
  void end_posted(PostNode& node, Visit& v);

  // --- who waits and who watches, under the token
  void link(Sleeper& s, Op& op);
  void unlink(Sleeper& s);
  void lead(Sleeper& s, Watcher as);
  void follow_nobody();
  void disarm();
  void move_leader(Visit& v);

  // --- waiting, without the token
  enum class Served : std::uint8_t { turned, again, posted, dead };
  void wait(Op& op, Sleeper& s, bool was_posted, bool again);
  bool spin(Op& op, Sleeper& s, bool was_posted);
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
  Sleeper* janitor_ = nullptr;
  JanitorMode janitor_mode_ = JanitorMode::deep;
  std::uint64_t departures_seen_ = 0;
  Instant timer_set_ = Instant::never();
  bool kicked_ = false;
  bool told_ = false;  // devices were told that the watcher may sleep
  bool program_ = false;
  Op* stop_ = nullptr;
  ShardTokenCounters counters_;
};

// --- the calls -------------------------------------------------------------------------------------------------------

template <class World>
bool ShardToken<World>::begin(Op& op) {
  op.sleeper = nullptr;
  op.list_next = nullptr;
  cancel_state(op).store(value(Cancel::idle), std::memory_order_relaxed);  // nobody knows it yet
  if (!holds()) return true;
  op.error = Errc::again;  // rule 18: called from inside
  op.count = 0;
  return false;
}

template <class World>
void ShardToken<World>::run(Op& op) {
  if (!begin(op)) return;
  Visit v;
  v.own = &op;
  v.looks_again = true;
  for (;;) {
    switch (enter(v)) {
      case Word::Enter::entered: {
        run_own(op, v);
        leave(v);
        if (v.own_done) return;
        wait(op, *v.self, false, v.again);
        return;
      }
      case Word::Enter::held: {
        if (world_->held() != nullptr) {  // rule 18: who holds a token waits for nobody
          op.error = Errc::again;
          op.count = 0;
          return;
        }
        if (v.self == nullptr) v.self = world_->sleeper();
        if (v.self == nullptr) {  // no descriptors: it can't sleep, so it tries again
          world_->pause_long();
          continue;
        }
        op.sleeper = v.self;
        if (word_.post(op) != Word::Post::posted) continue;
        wait(op, *v.self, true, false);
        return;
      }
      case Word::Enter::dead:
        op.error = Errc::shut_down;
        op.count = 0;
        return;
    }
  }
}

template <class World>
void ShardToken<World>::start(Op& op) {
  Visit v;
  if (!begin(op)) {
    World::follow_up(&op);
    return;
  }
  for (;;) {
    switch (enter(v)) {
      case Word::Enter::entered:
        run_posted(op, v);
        leave(v);
        return;
      case Word::Enter::held:
        if (word_.post(op, PostState::parked) == Word::Post::posted) return;
        continue;
      case Word::Enter::dead:
        op.error = Errc::shut_down;
        op.count = 0;
        World::follow_up(&op);
        return;
    }
  }
}

template <class World>
void ShardToken<World>::cancel(Op& op) {
  std::uint32_t expected = value(Cancel::idle);
  // acq_rel: of two who ask, one posts the node; and the owner that closes the Op sees that it is under way.
  if (!cancel_state(op).compare_exchange_strong(expected, value(Cancel::on_its_way), std::memory_order_acq_rel,
                                                std::memory_order_acquire))
    return;
  Visit v;
  for (;;) {
    // Inside our own shard the node is just posted: we run it before we let go.
    const auto e = holds() ? Word::Enter::held : enter(v);
    switch (e) {
      case Word::Enter::entered:
        handle_cancel(op, v);
        leave(v);
        return;
      case Word::Enter::held:
        if (word_.post(op.cancel_node, PostState::parked) == Word::Post::posted) return;
        continue;
      case Word::Enter::dead:
        finish_alone(op);
        return;
    }
  }
}

// The word is dead and the cancel node stays with us: if the last owner left the Op to the node, we publish it.
template <class World>
void ShardToken<World>::finish_alone(Op& op) {
  const std::uint32_t old = cancel_state(op).exchange(value(Cancel::dead), std::memory_order_acq_rel);
  if (old == value(Cancel::closed) && op.completed != nullptr) World::follow_up(&op);
}

template <class World>
Instant ShardToken<World>::poll() {
  if (holds()) return Instant::never();
  Visit v;
  switch (enter(v)) {
    case Word::Enter::entered:
      v.want_turn = true;
      v.woken = true;
      leave(v);
      return v.next;
    case Word::Enter::held:
      return world_->now();
    case Word::Enter::dead:
      return Instant::never();
  }
  return Instant::never();
}

template <class World>
void ShardToken<World>::stop() {
  OwnerCall call;
  struct Context {
    ShardToken* token;
    OwnerCall* call;
  } context{this, &call};
  call.function = {[](void* c) {
                     auto* const x = static_cast<Context*>(c);
                     if (x->token->stop_ == nullptr) x->token->stop_ = x->call;
                   },
                   &context};
  run(call);
}

template <class World>
void ShardToken<World>::program_watches() {
  OwnerCall call;
  call.function = {[](void* c) {
                     auto* const token = static_cast<ShardToken*>(c);
                     token->program_ = true;
                     if (token->watcher_ == Watcher::caller) return;
                     if (token->watcher_ == Watcher::janitor) {
                       token->janitor_mode_ = JanitorMode::deep;
                       token->disarm();
                     }
                     token->follow_nobody();
                     token->watcher_ = Watcher::program;
                   },
                   this};
  run(call);
}

// --- leaving ---------------------------------------------------------------------------------------------------------

// Rules 5 and 6: runs what was posted, does what follows from it, and lets go.
template <class World>
void ShardToken<World>::leave(Visit& v) {
  unsigned budget = kForeignOps;
  for (;;) {
    while (!backlog_.empty() && budget > 0) {
      --budget;
      run_posted(*backlog_.pop_front(), v);
    }
    if (v.want_turn) {
      do_turn(v);
    } else {
      do_flush(v);
    }
    if (stop_ != nullptr) {
      kill(v);
      break;
    }
    prepare_to_leave(v);
    if (backlog_.empty()) {
      sync::PostList more = word_.leave();
      if (more.empty()) break;
      backlog_.append(more);
      if (budget > 0) continue;
    }
    if (v.own != nullptr && !v.own_done) {  // it waits in any case
      v.want_turn = true;
    } else if (pass_on(v)) {
      break;
    }
    budget = kForeignOps;
  }
  after_leave(v);
}

// Without the token. Nothing of this object is touched once others were told: it may be gone.
template <class World>
void ShardToken<World>::after_leave(Visit& v) {
  unhold(v);
  World* const world = world_;
  if (v.wake_janitor) world->wake_janitor();
  for (Sleeper* s : v.wakes) {
    world->wake(*s);
    world->unref(*s);
  }
  v.wakes.clear();
  Op* const finished = v.finished_head;
  v.finished_head = v.finished_tail = nullptr;
  World::follow_up(finished);
}

// Rule 6: true when the token is somebody else's or free, and the rest of the backlog will be run.
template <class World>
bool ShardToken<World>::pass_on(Visit& v) {
  World* const world = world_;
  const bool janitor = janitor_ != nullptr;
  do {
    Sleeper* first = nullptr;  // of those whose calls are left
    for (PostNode* n = backlog_.front(); n != nullptr;) {
      PostNode* const next = n->next;  // after a grant the list is not ours
      if (n->kind != PostKind::cancel) {
        ++counters_.grants;
        if (word_.grant(*n)) return true;
        --counters_.grants;
        auto* const s = static_cast<Sleeper*>(static_cast<Op&>(*n).sleeper);
        if (n->kind != PostKind::turn) {
          if (first == nullptr) first = s;
        } else {  // it sleeps without the watch, where the kick does not reach it
          world->ref(*s);
          push_wake(*s, v);
        }
      }
      n = next;
    }
    if (watcher_ == Watcher::nobody && first != nullptr) lead(*first, Watcher::caller);
    if (watcher_ == Watcher::nobody && !janitor) return false;  // nobody to leave it to
    ++counters_.left_behind;
  } while (!word_.leave_behind(backlog_));
  // Not ours any more: rule 13's unconditional kick.
  world->kick();
  if (janitor) {
    world->ask_janitor();
    v.wake_janitor = true;
  }
  return true;
}

// Rules 11, 13 and 15: whoever sleeps must wake in time, and when there is more to do.
template <class World>
void ShardToken<World>::prepare_to_leave(Visit& v) {
  if (world_->checks()) check_invariants();
  bool more = v.next <= world_->turn_time();
  const bool spins = leader_ != nullptr && leader_->spins.load(std::memory_order_relaxed);
  if (watcher_ != Watcher::nobody && !spins && !told_) {
    told_ = world_->before_sleep();
    if (!told_) {  // something came meanwhile: they are told again when that has been looked at
      world_->after_sleep();
      more = true;
    }
  }
  if (!more) {
    if (v.next < timer_set_) {
      ++counters_.timer_writes;
      timer_set_ = v.next;
      world_->set_timer(v.next);
    }
    return;
  }
  if (v.looks_again && v.own != nullptr && !v.own_done && leader_ == v.self) {
    v.again = true;
  } else if (!spins) {
    kick(v);
  }
}

template <class World>
void ShardToken<World>::kick(Visit& v) {
  if (watcher_ != Watcher::nobody) {
    if (kicked_) return;
    kicked_ = true;
    world_->kick();
  } else if (janitor_ != nullptr) {
    world_->ask_janitor();
    v.wake_janitor = true;
  }
}

// Rule 17. We are the last owner.
template <class World>
void ShardToken<World>::kill(Visit& v) {
  world_->withdraw_all(Errc::shut_down);
  publish_completed(v);
  while (!backlog_.empty()) end_posted(*backlog_.pop_front(), v);
  for (sync::PostList rest = word_.kill(); !rest.empty();) end_posted(*rest.pop_front(), v);
  follow_nobody();
  watcher_ = Watcher::nobody;
  disarm();
  Op* const stop = stop_;
  finish(*stop, v);
}

template <class World>
void ShardToken<World>::end_posted(PostNode& node, Visit& v) {
  if (node.kind == PostKind::cancel) {
    handle_cancel(*static_cast<CancelNode&>(node).op, v);
    return;
  }
  Op& op = static_cast<Op&>(node);
  if (node.kind != PostKind::turn) {
    op.error = Errc::shut_down;
    op.count = 0;
  }
  publish(op, v);
}

// --- operations under the token --------------------------------------------------------------------------------------

// The caller's own operation, by itself.
template <class World>
void ShardToken<World>::run_own(Op& op, Visit& v) {
  if (op.PostNode::kind == PostKind::call) {
    run_call(op);
    v.own_done = stop_ != &op;  // a stop is done when all is
    v.want_turn = false;
    return;
  }
  if (op.verb == Verb::none) v.want_turn = true;
  if (world_->start(op)) {
    v.own_done = true;
    return;
  }
  if (v.self == nullptr) v.self = world_->sleeper();
  if (v.self == nullptr || v.held.outer != nullptr) {  // it can't sleep, or must not (rule 18)
    op.sleeper = nullptr;
    (void)world_->withdraw(op, v.self == nullptr ? Errc::no_memory : Errc::again);
    return;
  }
  op.sleeper = v.self;
  Word::set_state(op, PostState::posted);
  v.self->spins.store(world_->begin_spin(*v.self, false), std::memory_order_relaxed);
  link(*v.self, op);
}

template <class World>
void ShardToken<World>::run_posted(PostNode& node, Visit& v) {
  switch (node.kind) {
    case PostKind::cancel:
      handle_cancel(*static_cast<CancelNode&>(node).op, v);
      return;
    case PostKind::turn: {
      Op& op = static_cast<Op&>(node);
      op.list_next = v.turns;
      v.turns = &op;
      v.want_turn = true;
      v.woken = true;
      return;
    }
    case PostKind::call: {
      Op& op = static_cast<Op&>(node);
      ++counters_.foreign_ops;
      run_call(op);
      if (stop_ != &op) publish(op, v);
      return;
    }
    case PostKind::op:
      break;
  }
  Op& op = static_cast<Op&>(node);
  ++counters_.foreign_ops;
  if (op.verb == Verb::none) v.want_turn = true;
  if (world_->start(op)) {
    publish(op, v);
    return;
  }
  if (op.sleeper != nullptr) {
    link(*static_cast<Sleeper*>(op.sleeper), op);
  } else if (cancel_state(op).load(std::memory_order_relaxed) == value(Cancel::asked)) {
    (void)world_->withdraw(op, Errc::cancelled);  // its cancellation was faster
  }
}

template <class World>
void ShardToken<World>::do_turn(Visit& v) {
  v.want_turn = false;
  ++counters_.turns;
  if (told_) {
    told_ = false;
    world_->after_sleep();
  }
  const std::uint64_t before = world_->received();
  v.next = world_->turn();
  publish_completed(v);
  while (v.turns != nullptr) {
    Op& op = *v.turns;
    v.turns = op.list_next;
    finish(op, v);
  }
  // Woken for nothing that a device had: a timer or a kick, which stay readable until they are looked at.
  if (v.woken && world_->received() == before) {
    const auto drained = world_->drain_watch();
    if (drained.timer) timer_set_ = Instant::never();
    if (drained.kick) kicked_ = false;
  }
  v.woken = false;
}

template <class World>
void ShardToken<World>::do_flush(Visit& v) {
  v.next = world_->flush();
  publish_completed(v);
}

template <class World>
void ShardToken<World>::publish_completed(Visit& v) {
  while (Op* const op = world_->take_completed()) publish(*op, v);
}

template <class World>
void ShardToken<World>::publish(Op& op, Visit& v) {
  // acq_rel: a canceller that was first has its node under way, and that node must not outlive the Op.
  const std::uint32_t old = cancel_state(op).exchange(value(Cancel::closed), std::memory_order_acq_rel);
  if (old == value(Cancel::on_its_way)) return;  // the node brings it back
  finish(op, v);
}

// Rule 7.
template <class World>
void ShardToken<World>::finish(Op& op, Visit& v) {
  if (op.completed != nullptr) {
    op.list_next = nullptr;
    (v.finished_head == nullptr ? v.finished_head : v.finished_tail->list_next) = &op;
    v.finished_tail = &op;
    return;
  }
  auto* const s = static_cast<Sleeper*>(op.sleeper);
  const bool own = &op == v.own;
  const bool turn = op.PostNode::kind == PostKind::turn;
  if (s != nullptr && !turn) {
    if (s->op == &op) unlink(*s);
    if (watcher_ == Watcher::caller && leader_ == s) move_leader(v);
  }
  if (own) v.own_done = true;
  if (s == nullptr) {
    LEAT_ASSERT(own);
    return;
  }
  if (s == v.self) {
    (void)Word::complete(op);  // of this very thread: it is awake
    if (turn) world_->unref(*s);
    return;
  }
  world_->ref(*s);  // before its thread may go on: the write comes later
  if (Word::complete(op)) {
    push_wake(*s, v);
  } else {
    world_->unref(*s);
  }
  if (turn) world_->unref(*s);
}

template <class World>
void ShardToken<World>::push_wake(Sleeper& s, Visit& v) {
  if (v.wakes.try_push(&s)) return;
  world_->wake(s);
  world_->unref(s);
}

// Ends an operation that is not complete. False: it is not here.
template <class World>
bool ShardToken<World>::end_early(Op& op, Visit& v) {
  const Errc why = op.completed != nullptr ? Errc::cancelled : Errc::interrupted;
  if (op.pending) {
    (void)world_->withdraw(op, why);
    publish_completed(v);
    return true;
  }
  if (!backlog_.remove(&op)) return false;
  op.error = why;
  op.count = 0;
  publish(op, v);
  return true;
}

template <class World>
void ShardToken<World>::handle_cancel(Op& op, Visit& v) {
  // acquire: with `closed` the result is there.
  if (cancel_state(op).load(std::memory_order_acquire) == value(Cancel::closed)) {
    finish(op, v);
    return;
  }
  cancel_state(op).store(value(Cancel::asked), std::memory_order_relaxed);  // the token orders it
  (void)end_early(op, v);
}

// --- who waits, who watches ------------------------------------------------------------------------------------------

// Rule 9.
template <class World>
void ShardToken<World>::link(Sleeper& s, Op& op) {
  s.op = &op;
  s.later = nullptr;
  s.earlier = waiting_;
  if (waiting_ != nullptr) waiting_->later = &s;
  waiting_ = &s;
  if (watcher_ == Watcher::caller) return;
  if (watcher_ == Watcher::janitor) janitor_mode_ = JanitorMode::deep;
  lead(s, Watcher::caller);
}

template <class World>
void ShardToken<World>::unlink(Sleeper& s) {
  (s.later == nullptr ? waiting_ : s.later->earlier) = s.earlier;
  if (s.earlier != nullptr) s.earlier->later = s.later;
  s.later = s.earlier = nullptr;
  s.op = nullptr;
}

template <class World>
void ShardToken<World>::lead(Sleeper& s, Watcher as) {
  follow_nobody();
  ++counters_.role_moves;
  watcher_ = as;
  leader_ = &s;
  if (armed_ != &s) {
    disarm();
    armed_ = &s;
    world_->ref(s);
    world_->arm(s, true);
  }
  s.leads.store(true, std::memory_order_relaxed);
}

template <class World>
void ShardToken<World>::disarm() {
  if (armed_ == nullptr) return;
  world_->arm(*armed_, false);
  world_->unref(*armed_);
  armed_ = nullptr;
}

template <class World>
void ShardToken<World>::follow_nobody() {
  if (leader_ != nullptr) leader_->leads.store(false, std::memory_order_relaxed);
  leader_ = nullptr;
}

// Rule 12.
template <class World>
void ShardToken<World>::move_leader(Visit& v) {
  if (waiting_ != nullptr) {
    lead(static_cast<Sleeper&>(*waiting_), Watcher::caller);
    return;
  }
  follow_nobody();
  ++counters_.departures;
  if (program_) {
    watcher_ = Watcher::program;
    return;
  }
  watcher_ = Watcher::nobody;
  if (janitor_ != nullptr && janitor_mode_ == JanitorMode::deep) {
    janitor_mode_ = JanitorMode::grace;
    v.wake_janitor = true;
  }
}

// --- waiting ---------------------------------------------------------------------------------------------------------

template <class World>
void ShardToken<World>::wait(Op& op, Sleeper& s, bool was_posted, bool again) {
  while (again) {
    if (Word::wait_state(op) == PostState::done) return;
    again = false;
    Visit v;
    v.own = &op;
    v.self = &s;
    v.looks_again = true;
    if (enter(v) != Word::Enter::entered) break;
    v.want_turn = true;
    leave(v);
    if (v.own_done) return;
    again = v.again;
  }
  if (spin(op, s, was_posted)) return;
  while (!Word::park(op)) {
    if (Word::wait_state(op) == PostState::done) return;
    granted(op, s);
    if (Word::wait_state(op) == PostState::done || spin(op, s, false)) return;
  }
  bool asked = false;
  while (Word::wait_state(op) != PostState::done) {
    const auto woken = world_->sleep(s, asked ? -1 : op.also_fd);
    if (woken.watch && Word::wait_state(op) != PostState::done) {
      while (serve(&op, s) == Served::again && Word::wait_state(op) != PostState::done) {
      }
    }
    if (woken.interrupted && !asked) {
      asked = true;
      withdraw_own(op, s);
    }
  }
}

// Rule 9: true when it is done. Bounded by the policy's time.
template <class World>
bool ShardToken<World>::spin(Op& op, Sleeper& s, bool was_posted) {
  if (!s.spins.load(std::memory_order_relaxed)) {  // else run_own began it
    if (!was_posted || !world_->begin_spin(s, true)) return false;
    s.spins.store(true, std::memory_order_relaxed);
  }
  bool done = false;
  do {
    const PostState state = Word::wait_state(op);
    if (state == PostState::granted) granted(op, s);
    if (Word::wait_state(op) == PostState::done) {
      done = true;
      break;
    }
    if (s.leads.load(std::memory_order_relaxed)) {
      Visit v;
      v.own = &op;
      v.self = &s;
      if (enter(v) == Word::Enter::entered) {
        v.want_turn = true;
        leave(v);
      }
    }
    world_->pause();
  } while (world_->spin_on(s));
  s.spins.store(false, std::memory_order_relaxed);
  if (!done) done = Word::wait_state(op) == PostState::done;
  world_->end_spin(s, done);
  if (!done && s.leads.load(std::memory_order_relaxed)) {  // once more, so that devices hear of the sleep
    Visit v;
    v.own = &op;
    v.self = &s;
    if (enter(v) == Word::Enter::entered) {
      v.want_turn = true;
      leave(v);
      done = v.own_done;
    }
  }
  return done;
}

// Rule 6: the old owner gave us the token, with the backlog.
template <class World>
void ShardToken<World>::granted(Op& op, Sleeper& s) {
  Visit v;
  v.own = &op;
  v.self = &s;
  hold(v);
  const bool here = backlog_.remove(&op);
  LEAT_ASSERT(here);
  run_own(op, v);
  if (v.own_done) (void)Word::complete(op);
  leave(v);
}

// Rule 10: the watch has something.
template <class World>
typename ShardToken<World>::Served ShardToken<World>::serve(Op* op, Sleeper& s) {
  Visit v;
  v.own = op;
  v.self = &s;
  v.looks_again = op != nullptr;
  switch (enter(v)) {
    case Word::Enter::entered:
      v.want_turn = true;
      v.woken = true;
      if (op == nullptr) ++counters_.janitor_turns;
      leave(v);
      return v.again ? Served::again : Served::turned;
    case Word::Enter::held: {
      if (s.turn_posted && Word::wait_state(s.turn) != PostState::done) {
        await_turn(op, s);
        return Served::posted;
      }
      world_->ref(s);  // of the posted node
      s.turn.sleeper = &s;
      s.turn_posted = true;
      cancel_state(s.turn).store(value(Cancel::idle), std::memory_order_relaxed);
      if (word_.post(s.turn) == Word::Post::posted) {
        await_turn(op, s);
        return Served::posted;
      }
      s.turn_posted = false;
      world_->unref(s);
      return Served::turned;  // it is free now: the watch, still readable, brings us back
    }
    case Word::Enter::dead:
      if (op != nullptr) world_->sleep_alone(s);
      return Served::dead;
  }
  return Served::dead;
}

// Sleeps without the watch, which would wake us as long as nobody has read the device. While it is POSTED this thread
// looks at it; it stays PARKED when the thread goes on with its own operation done.
template <class World>
void ShardToken<World>::await_turn(Op* op, Sleeper& s) {
  const auto over = [&] {
    return Word::wait_state(s.turn) == PostState::done || (op != nullptr && Word::wait_state(*op) == PostState::done);
  };
  for (unsigned i = world_->posted_spins(s); i > 0 && Word::wait_state(s.turn) == PostState::posted; --i)
    world_->pause();
  if (!Word::park(s.turn) && Word::wait_state(s.turn) == PostState::granted) {
    take_granted_turn(op, s);
    return;
  }
  while (!over()) {
    world_->sleep_alone(s);
    if (over()) return;
    // It may have been left behind (rule 6): with what is on the word we take it back.
    Visit v;
    v.own = op;
    v.self = &s;
    if (enter(v) != Word::Enter::entered) continue;
    v.want_turn = true;
    v.woken = true;
    leave(v);
  }
}

template <class World>
void ShardToken<World>::take_granted_turn(Op* op, Sleeper& s) {
  Visit v;
  v.own = op;
  v.self = &s;
  hold(v);
  const bool here = backlog_.remove(&s.turn);
  LEAT_ASSERT(here);
  v.want_turn = true;
  v.woken = true;
  (void)Word::complete(s.turn);
  world_->unref(s);
  leave(v);
}

// Rule 16, for a blocked caller: a signal came, or its other descriptor is ready.
template <class World>
void ShardToken<World>::withdraw_own(Op& op, Sleeper& s) {
  Visit v;
  v.own = &op;
  v.self = &s;
  switch (enter(v)) {
    case Word::Enter::entered:
      if (Word::wait_state(op) != PostState::done) (void)end_early(op, v);
      leave(v);
      return;
    case Word::Enter::held: {
      std::uint32_t expected = value(Cancel::idle);
      if (!cancel_state(op).compare_exchange_strong(expected, value(Cancel::on_its_way), std::memory_order_acq_rel,
                                                    std::memory_order_acquire))
        return;  // it is being completed
      for (;;) {
        switch (word_.post(op.cancel_node, PostState::parked)) {
          case Word::Post::posted:
            return;
          case Word::Post::free:
            if (enter(v) != Word::Enter::entered) continue;
            handle_cancel(op, v);
            leave(v);
            return;
          case Word::Post::dead:
            // If the last owner left it to the node, nobody else will say that it is done.
            if (cancel_state(op).exchange(value(Cancel::dead), std::memory_order_acq_rel) == value(Cancel::closed))
              (void)Word::complete(op);
            return;
        }
      }
    }
    case Word::Enter::dead:
      return;
  }
}

// --- the janitor -----------------------------------------------------------------------------------------------------

template <class World>
void ShardToken<World>::janitor_starts(Sleeper& janitor) {
  struct Context {
    ShardToken* token;
    Sleeper* janitor;
  } context{this, &janitor};
  OwnerCall call;
  call.function = {[](void* c) {
                     auto* const x = static_cast<Context*>(c);
                     x->token->janitor_ = x->janitor;
                     x->token->janitor_mode_ = JanitorMode::deep;
                     if (x->token->watcher_ != Watcher::nobody) return;
                     x->token->janitor_mode_ = JanitorMode::leading;
                     x->token->lead(*x->janitor, Watcher::janitor);
                   },
                   &context};
  run(call);
}

template <class World>
JanitorMode ShardToken<World>::janitor_grace_ends(Sleeper& janitor) {
  Visit v;
  v.self = &janitor;
  if (enter(v) != Word::Enter::entered) return JanitorMode::grace;
  if (watcher_ == Watcher::nobody) {
    ++counters_.janitor_turns;
    v.want_turn = true;
    do_turn(v);
  }
  const bool quiet = counters_.departures == departures_seen_ || watcher_ == Watcher::janitor;
  departures_seen_ = counters_.departures;
  if (!quiet) {
    janitor_mode_ = JanitorMode::grace;
  } else if (watcher_ == Watcher::nobody) {
    janitor_mode_ = JanitorMode::leading;
    lead(janitor, Watcher::janitor);
  } else if (watcher_ == Watcher::janitor) {
    janitor_mode_ = JanitorMode::leading;
  } else {
    janitor_mode_ = JanitorMode::deep;
  }
  const JanitorMode mode = janitor_mode_;
  leave(v);
  return mode;
}

template <class World>
void ShardToken<World>::check_invariants() const {
  LEAT_ASSERT((watcher_ == Watcher::caller || watcher_ == Watcher::janitor) == (leader_ != nullptr));
  LEAT_ASSERT(leader_ == nullptr || armed_ == leader_);
  LEAT_ASSERT(waiting_ == nullptr || watcher_ == Watcher::caller);
  LEAT_ASSERT(janitor_ == nullptr || watcher_ != Watcher::nobody || janitor_mode_ != JanitorMode::deep);
}

}  // namespace leat
