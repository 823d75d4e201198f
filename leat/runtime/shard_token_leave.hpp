#pragma once
// How the owner of a ShardToken lets go: runs what was posted, turns or flushes, passes the rest on, kicks whoever
// sleeps, and ends the shard (rules 5, 6, 11, 13, 14, 15 and 17 of shared-stack-protocol.md). Part of shard_token.hpp.

#include <leat/runtime/shard_token.hpp>

namespace leat {

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

// Rule 6: true when the token is somebody else's or free, and the rest of the backlog will be run. With a janitor, who
// is asked in any case, no more of the backlog is looked at than the next owner runs: thousands of operations that
// nobody waits for may lie there.
template <class World>
bool ShardToken<World>::pass_on(Visit& v) {
  World* const world = world_;
  const bool janitor = janitor_ != nullptr;
  do {
    Sleeper* first = nullptr;  // of those whose calls are left
    unsigned looks = kForeignOps;
    for (PostNode* n = backlog_.front(); n != nullptr && (!janitor || looks > 0); --looks) {
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
    // The program's loop may be one that sleeps in such a call.
    const bool unwatched = watcher_ == Watcher::nobody || watcher_ == Watcher::program;
    if (unwatched && first != nullptr) lead(*first, Watcher::caller);
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
  const bool spins = leader_ != nullptr && leader_->spins.load(std::memory_order_seq_cst);
  if (watcher_ != Watcher::nobody && !spins && !told_) {
    told_ = world_->before_sleep();
    if (!told_) {  // something came meanwhile: they are told again when that has been looked at
      world_->after_sleep();
      more = true;
    }
  }
  if (!more) {
    if (watcher_ != Watcher::nobody && v.next < timer_set_) {
      ++counters_.timer_writes;
      timer_set_ = v.next;
      world_->set_timer(v.next);
    }
    hurry_janitor(v);
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
  world_->reset_peers();
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
    (void)take_cancel(*static_cast<CancelNode&>(node).op, v);  // if not complete, that is posted too
    return;
  }
  Op& op = static_cast<Op&>(node);
  if (node.kind != PostKind::turn) {
    op.error = Errc::shut_down;
    op.count = 0;
  }
  publish(op, v);
}

}  // namespace leat
