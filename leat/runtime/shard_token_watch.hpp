#pragma once
// Who waits, who watches, who is armed, and the janitor's part of it (rules 9, 12 and 14 of shared-stack-protocol.md).
// All under the token but for the janitor's own calls, which enter. Part of shard_token.hpp.

#include <leat/runtime/shard_token.hpp>

namespace leat {

// Rule 9.
template <class World>
void ShardToken<World>::link(Sleeper& s, Op& op) {
  s.op = &op;
  s.later = nullptr;
  s.earlier = waiting_;
  if (waiting_ != nullptr) waiting_->later = &s;
  waiting_ = &s;
  s.linked.store(true, std::memory_order_relaxed);
  if (watcher_ == Watcher::caller) return;
  if (watcher_ == Watcher::janitor) janitor_mode_ = JanitorMode::deep;
  lead(s, Watcher::caller);
}

// Of the thread that has the token.
template <class World>
void ShardToken<World>::begin_to_wait(Sleeper& s, Op& op) {
  counters_.waits.take(s.tally);
  const bool alone = waits_alone(s);
  link(s, op);
  const bool spins = world_->begin_spin(s, {.leads = leader_ == &s, .alone = alone});
  s.spins.store(spins, std::memory_order_relaxed);
  if (!spins || leader_ == &s || leader_->spins.load(std::memory_order_relaxed)) return;
  // Who watches sleeps, and would be woken by each packet of ours.
  ++counters_.takeovers;
  lead(s, Watcher::caller);
}

// The others, if there are any, have not waited lately: they sleep or compute.
template <class World>
bool ShardToken<World>::waits_alone(const Sleeper& s) {
  if (last_to_wait_ != &s) in_a_row_ = 0;
  last_to_wait_ = &s;
  in_a_row_ = std::min(in_a_row_ + 1, kAlone);
  return in_a_row_ == kAlone;
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
  } else if (as == Watcher::caller && !program_) {
    world_->led_again(s);
  }
  s.leads.store(true, std::memory_order_seq_cst);  // see SleeperState
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
  if (janitor_ != nullptr && janitor_mode_ == JanitorMode::deep) begin_grace(v);
}

// --- the janitor

template <class World>
void ShardToken<World>::janitor_starts(Sleeper& janitor) {
  run_as_owner([this, &janitor](Op&) {
    janitor_ = &janitor;
    janitor_mode_ = JanitorMode::deep;
    if (watcher_ != Watcher::nobody) return;
    janitor_mode_ = JanitorMode::leading;
    lead(janitor, Watcher::janitor);
  });
}

template <class World>
JanitorPlan ShardToken<World>::janitor_grace_ends(Sleeper& janitor) {
  Visit v;
  v.self = &janitor;
  if (enter(v) != Word::Enter::entered) return {};
  const Instant now = world_->now();
  const bool at_work = watcher_ != Watcher::nobody || now < world_->turn_time() + kShortGrace;
  if (watcher_ == Watcher::nobody) {
    ++counters_.janitor_turns;
    v.want_turn = true;
    do_turn(v);
  }
  const bool quiet = counters_.departures == departures_seen_ || watcher_ == Watcher::janitor;
  departures_seen_ = counters_.departures;
  if (looks_in_time_ < kLooksInTime && ++looks_in_time_ == kLooksInTime) most_grace_ = kLongGrace;
  grace_ = at_work ? std::min(grace_ * 2, most_grace_) : kShortGrace;
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
  JanitorPlan plan{janitor_mode_, grace_};
  if (watcher_ == Watcher::nobody) plan.grace = std::clamp(v.next + kShortGrace - now, kShortGrace, grace_);
  janitor_looks_ = now + plan.grace;
  leave(v);
  return plan;
}

// Rule 14: it would look more than a short grace after the next deadline, and nobody else does.
template <class World>
void ShardToken<World>::hurry_janitor(Visit& v) {
  if (watcher_ != Watcher::nobody || janitor_mode_ != JanitorMode::grace) return;
  if (v.next + kShortGrace >= janitor_looks_) return;
  // A program that leaves such deadlines behind does so again and again; a look costs less than a ring and a look.
  most_grace_ = kShortGrace * 2;
  looks_in_time_ = 0;
  begin_grace(v);
}

template <class World>
void ShardToken<World>::begin_grace(Visit& v) {
  janitor_mode_ = JanitorMode::grace;
  grace_ = kShortGrace;
  janitor_looks_ = world_->turn_time() + kShortGrace;
  v.wake_janitor = true;
}

template <class World>
void ShardToken<World>::check_invariants() const {
  LEAT_ASSERT((watcher_ == Watcher::caller || watcher_ == Watcher::janitor) == (leader_ != nullptr));
  LEAT_ASSERT(leader_ == nullptr || armed_ == leader_);
  LEAT_ASSERT(waiting_ == nullptr || watcher_ == Watcher::caller);
  LEAT_ASSERT(janitor_ == nullptr || watcher_ != Watcher::nobody || janitor_mode_ != JanitorMode::deep);
}

}  // namespace leat
