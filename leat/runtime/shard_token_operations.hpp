#pragma once
// What the owner of a ShardToken does with operations: its own, posted ones, turns, cancel nodes; and how it tells that
// one is complete (rules 7 and 16 of shared-stack-protocol.md). All under the token. Part of shard_token.hpp.

#include <leat/runtime/shard_token.hpp>

namespace leat {

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
  begin_to_wait(*v.self, op);
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
    case PostKind::call:
    case PostKind::op:
      break;
  }
  ++counters_.foreign_ops;
  (void)run_op(static_cast<Op&>(node), v);
}

// One that is not run yet. True: nothing is left to do for it; it may be gone.
template <class World>
bool ShardToken<World>::run_op(Op& op, Visit& v) {
  if (op.PostNode::kind == PostKind::call) {
    run_call(op);
    if (stop_ != &op) publish(op, v);  // a stop is done when all is
    return true;
  }
  if (op.verb == Verb::none) v.want_turn = true;
  if (world_->start(op)) {
    publish(op, v);
    return true;
  }
  if (op.sleeper != nullptr) {
    link(*static_cast<Sleeper*>(op.sleeper), op);
  } else if (cancel_state(op).load(std::memory_order_relaxed) == value(Cancel::asked)) {
    (void)world_->withdraw(op, Errc::cancelled);  // its cancellation was faster
  }
  return false;
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
  ++counters_.wakes;
  if (v.wakes.try_push(&s)) return;
  world_->wake(s);
  world_->unref(s);
}

// Rule 16: ends an operation that is not complete. One that was left behind is run first, so that no cancellation
// overtakes its operation: what never waits, as closing, has its result.
template <class World>
void ShardToken<World>::end_early(Op& op, Visit& v) {
  if (!op.pending && (!backlog_.remove(&op) || run_op(op, v))) return;
  (void)world_->withdraw(op, op.completed != nullptr ? Errc::cancelled : Errc::interrupted);
  publish_completed(v);
}

// True: it is not complete, and whoever runs it knows now that it is to end.
template <class World>
bool ShardToken<World>::take_cancel(Op& op, Visit& v) {
  // acquire: with `closed` the result is there.
  if (cancel_state(op).load(std::memory_order_acquire) == value(Cancel::closed)) {
    finish(op, v);
    return false;
  }
  cancel_state(op).store(value(Cancel::asked), std::memory_order_relaxed);  // the token orders it
  return true;
}

template <class World>
void ShardToken<World>::handle_cancel(Op& op, Visit& v) {
  if (take_cancel(op, v)) end_early(op, v);
}

}  // namespace leat
