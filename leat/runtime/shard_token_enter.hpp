#pragma once
// The calls of ShardToken: how a thread comes in, or leaves its operation on the word (rules 3, 4 and 18 of
// shared-stack-protocol.md); starting, cancelling, polling, stopping. Part of shard_token.hpp, which includes it.

#include <leat/runtime/shard_token.hpp>

namespace leat {

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
        v.self->linked.store(false, std::memory_order_relaxed);  // published by the post
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
void ShardToken<World>::start_copy(Op& op) {
  cancel_state(op).store(value(Cancel::idle), std::memory_order_relaxed);
  cancel_copy(op);
}

// It is in the lists of the copied engine still, which nobody walks. No thread is there that could complete it, nor one
// that brings a node which was under way; what was complete before the fork has been told, or is about to be, by us.
template <class World>
void ShardToken<World>::cancel_copy(Op& op) {
  const std::uint32_t old = cancel_state(op).exchange(value(Cancel::closed), std::memory_order_relaxed);
  if (old == value(Cancel::closed) || old == value(Cancel::dead)) return;
  op.pending = false;
  op.error = Errc::shut_down;
  op.count = 0;
  op.list_next = nullptr;
  World::follow_up(&op);
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
template <class F>
void ShardToken<World>::run_as_owner(F function) {
  OwnerCall call;
  struct Context {
    F* function;
    OwnerCall* call;
  } context{&function, &call};
  call.function = {[](void* c) {
                     auto* const x = static_cast<Context*>(c);
                     (*x->function)(*x->call);
                   },
                   &context};
  run(call);
}

template <class World>
void ShardToken<World>::stop() {
  run_as_owner([this](Op& call) {
    if (stop_ == nullptr) stop_ = &call;
  });
}

template <class World>
void ShardToken<World>::program_watches() {
  run_as_owner([this](Op&) {
    program_ = true;
    if (armed_ != nullptr) {  // the program's set must see all that a sleeper's sees
      world_->arm(*armed_, false);
      world_->arm(*armed_, true);
    }
    if (watcher_ == Watcher::caller) return;
    if (watcher_ == Watcher::janitor) {
      janitor_mode_ = JanitorMode::deep;
      disarm();
    }
    follow_nobody();
    watcher_ = Watcher::program;
  });
}

template <class World>
void ShardToken<World>::program_leaves() {
  run_as_owner([this](Op&) {
    program_ = false;
    if (watcher_ != Watcher::program) return;
    Visit v;  // of nobody: for what it says about the janitor
    move_leader(v);
    if (v.wake_janitor) world_->wake_janitor();
  });
}

}  // namespace leat
