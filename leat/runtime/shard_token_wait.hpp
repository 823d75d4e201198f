#pragma once
// What a thread does while its operation is not complete, without the token: spins, parks, sleeps, and turns the shard
// when it watches (rules 9, 10 and 16 of shared-stack-protocol.md). Part of shard_token.hpp.

#include <leat/runtime/shard_token.hpp>

namespace leat {

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
  Spun spun = spin(op, s, was_posted);
  while (spun != Spun::done && !Word::park(op)) {
    if (Word::wait_state(op) == PostState::done) return;
    granted(op, s);
    if (Word::wait_state(op) == PostState::done) return;
    spun = std::max(spun, spin(op, s, false));
  }
  if (spun == Spun::done) return;
  // Once more, so that devices hear of the sleep: here, or by who has the token and perhaps found us spinning.
  if (spun == Spun::in_vain && s.leads.load(std::memory_order_seq_cst)) look(op, s);
  bool withdrawn = false;
  while (Word::wait_state(op) != PostState::done) {
    ++s.tally.sleeps;
    const auto woken = world_->sleep(s, withdrawn ? -1 : op.also_fd);
    if (woken.watch && Word::wait_state(op) != PostState::done) look(op, s);
    if ((woken.interrupted || woken.also) && !withdrawn) {
      withdrawn = true;  // it ends at once, or whoever has the token ends it
      op.also_ready = woken.also;
      withdraw_own(op, s);
    }
  }
}

// Turns until there is nothing more to do at once.
template <class World>
void ShardToken<World>::look(Op& op, Sleeper& s) {
  while (serve(&op, s) == Served::again && Word::wait_state(op) != PostState::done) {
  }
}

// A turn of who watches and spins, if the token is free.
template <class World>
void ShardToken<World>::turn_as_watcher(Op& op, Sleeper& s) {
  Visit v;
  v.own = &op;
  v.self = &s;
  if (enter(v) != Word::Enter::entered) return;
  v.want_turn = true;
  leave(v);
}

// Rule 9. Bounded by the policy's time. Who waits for an owner sleeps when that has come to wait for packets, unless it
// may spin for those.
template <class World>
typename ShardToken<World>::Spun ShardToken<World>::spin(Op& op, Sleeper& s, bool was_posted) {
  bool for_owner = false;
  if (!s.spins.load(std::memory_order_relaxed)) {  // else run_own began it
    if (!was_posted || !world_->begin_spin(s, {.owner = true})) return Spun::no;
    for_owner = true;
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
    const bool leads = s.leads.load(std::memory_order_relaxed);
    if (for_owner && s.linked.load(std::memory_order_relaxed)) {
      for_owner = false;
      if (!world_->begin_spin(s, {.leads = leads})) break;
    }
    if (leads) turn_as_watcher(op, s);
    world_->pause();
  } while (world_->spin_on(s));
  s.spins.store(false, std::memory_order_seq_cst);  // see SleeperState
  if (!done) done = Word::wait_state(op) == PostState::done;
  world_->end_spin(s, done);
  ++(done ? s.tally.spins_won : s.tally.spins_lost);
  return done ? Spun::done : Spun::in_vain;
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
      return Served::again;  // it is free now
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
    ++s.tally.sleeps;
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
      if (Word::wait_state(op) != PostState::done) end_early(op, v);
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

}  // namespace leat
