#pragma once
// TokenWord: token and inbox of a shard in one atomic word, so that letting go and leaving work can't miss each other.
//
//   W = 0            free
//   W = HELD         held, nothing posted
//   W = HELD | node  held, `node` is the newest posted operation (older ones behind it by `next`)
//   W = node         free with work left behind, the oldest of it: only leave_behind() makes it
//   W = DEAD         the shard has ended
//
//   caller:  switch (word.enter(backlog)) ...          owner:  do its own work, then
//            held -> post(op) -> posted: wait for it           while (auto* ops = word.leave()) run ops;
//
// A posted operation reaches its owner exactly once: whole lists are taken, never single nodes, so there is no ABA. No
// call waits for another thread; enter and post retry only when another thread made progress.
//
// Threading: any thread calls enter, post, park, wait_state; only the owner calls leave, take, grant, complete,
// leave_behind and kill. Every atomic access names its order and reason.

#include <cstdint>
#include <leat/base/assert.hpp>
#include <leat/base/post_node.hpp>
#include <leat/sync/atomics.hpp>
#include <utility>

namespace leat::sync {

// Operations in the order in which they were posted, linked by `next`.
class PostList {
 public:
  PostList() = default;
  // From a newest-first chain.
  static PostList from_newest(PostNode* newest) {
    PostList list;
    list.tail_ = newest;
    PostNode* older = nullptr;
    while (newest != nullptr) {
      PostNode* next = std::exchange(newest->next, older);
      older = newest;
      newest = next;
    }
    list.head_ = older;
    return list;
  }
  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] PostNode* front() const { return head_; }
  void push_back(PostNode* n) {
    n->next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = n;
    tail_ = n;
  }
  void push_front(PostNode* n) {
    n->next = head_;
    if (head_ == nullptr) tail_ = n;
    head_ = n;
  }
  [[nodiscard]] PostList take_all() { return std::exchange(*this, PostList{}); }
  PostNode* pop_front() {
    PostNode* n = head_;
    head_ = n->next;
    if (head_ == nullptr) tail_ = nullptr;
    n->next = nullptr;
    return n;
  }
  void append(PostList other) {
    if (other.empty()) return;
    (head_ == nullptr ? head_ : tail_->next) = other.head_;
    tail_ = other.tail_;
  }
  // Unlinks `node`; false when it is not here. O(n), for grants and cancels only.
  bool remove(PostNode* node) {
    PostNode* before = nullptr;
    for (PostNode* n = head_; n != nullptr; before = n, n = n->next) {
      if (n != node) continue;
      (before == nullptr ? head_ : before->next) = n->next;
      if (tail_ == n) tail_ = before;
      n->next = nullptr;
      return true;
    }
    return false;
  }

 private:
  PostNode* head_ = nullptr;
  PostNode* tail_ = nullptr;
};

template <class Atomics = StdAtomics>
class TokenWord {
 public:
  enum class Enter : std::uint8_t { entered, held, dead };
  enum class Post : std::uint8_t { posted, free, dead };

  // Rule 3. `entered`: the caller is the owner, and `backlog`, which moves with the token, is what was left behind.
  Enter enter(PostList& backlog) {
    std::uintptr_t w = word_.load(std::memory_order_relaxed);  // only a guess, checked by the exchange
    for (;;) {
      if (w == kDead) return Enter::dead;
      if ((w & kHeld) != 0) return Enter::held;
      // acquire: everything the last owner wrote is seen, and the nodes that posters linked.
      if (word_.compare_exchange_weak(w, kHeld, std::memory_order_acquire, std::memory_order_relaxed)) {
        if (PostNode* const oldest = node(w); oldest != nullptr) backlog.push_front(oldest);
        return Enter::entered;
      }
    }
  }

  // Rule 4. Leaves `op` with the current owner. `free`: nobody holds the token; enter and run it directly. Nobody spins
  // on an operation whose first state is `parked`: it is never granted.
  Post post(PostNode& op, PostState first = PostState::posted) {
    set_state(op, first);  // published by the exchange below
    std::uintptr_t w = word_.load(std::memory_order_relaxed);
    for (;;) {
      if (w == kDead) return Post::dead;
      if ((w & kHeld) == 0) return Post::free;
      op.next = node(w);
      // release: the owner that takes the list sees the operation's fields.
      if (word_.compare_exchange_weak(w, word(&op) | kHeld, std::memory_order_release, std::memory_order_relaxed))
        return Post::posted;
    }
  }

  // Rule 5. Lets go when nothing was posted: empty list. Otherwise the caller stays owner and has the posted
  // operations.
  [[nodiscard]] PostList leave() {
    std::uintptr_t w = kHeld;
    // release: the next owner sees what we wrote.
    if (word_.compare_exchange_strong(w, 0, std::memory_order_release, std::memory_order_relaxed)) return {};
    return take();
  }

  // What was posted so far, without letting go.
  [[nodiscard]] PostList take() {
    // acquire: the operations' fields are seen.
    return PostList::from_newest(node(word_.exchange(kHeld, std::memory_order_acquire)));
  }

  // Rule 6, first half: gives the token to the caller of `op`, if it still spins. True: we are no longer the owner, and
  // the rest of the backlog, which the caller of grant() left where the new owner finds it, is not ours any more.
  bool grant(PostNode& op) {
    std::uint32_t expected = value(PostState::posted);
    return state(op).compare_exchange_strong(expected, value(PostState::granted), std::memory_order_release,
                                             std::memory_order_relaxed);
  }

  // Rule 6, second half: lets go with work left behind, and the caller must kick a sleeper. The word keeps the oldest
  // operation, the rest stays in `backlog`, which is the next owner's then. False: somebody posted meanwhile; that is
  // in the backlog now, behind the rest, and the caller is still the owner. O(1).
  [[nodiscard]] bool leave_behind(PostList& backlog) {
    LEAT_ASSERT(!backlog.empty());
    PostNode* const oldest = backlog.pop_front();
    std::uintptr_t w = kHeld;
    // release: the next owner sees what we wrote, the backlog and its links included.
    if (word_.compare_exchange_strong(w, word(oldest), std::memory_order_release, std::memory_order_relaxed))
      return true;
    backlog.push_front(oldest);
    backlog.append(take());
    return false;
  }

  // Rule 17: ends the word; returns what was posted. Every later enter and post answers dead.
  [[nodiscard]] PostList kill() {
    return PostList::from_newest(node(word_.exchange(kDead, std::memory_order_acq_rel)));
  }

  // Rule 7, the word's part: publishes the result. True: the caller sleeps, write its sleeper. `op` must not be touched
  // afterwards: its frame may be gone.
  static bool complete(PostNode& op) {
    // acq_rel: release publishes the result; acquire pairs with park(), so that its sleeper is seen ready.
    return state(op).exchange(value(PostState::done), std::memory_order_acq_rel) == value(PostState::parked);
  }

  // Rule 9, the caller's part: true when it may sleep; false when the operation is done or granted already.
  static bool park(PostNode& op) {
    std::uint32_t expected = value(PostState::posted);
    return state(op).compare_exchange_strong(expected, value(PostState::parked), std::memory_order_acq_rel,
                                             std::memory_order_acquire);
  }

  // acquire: with `done` the result is seen, with `granted` everything the old owner wrote.
  static PostState wait_state(PostNode& op) {
    return static_cast<PostState>(state(op).load(std::memory_order_acquire));
  }

  // Before the node is shared, or by the owner: whoever reads it later reads it behind a release of the word.
  static void set_state(PostNode& op, PostState s) { state(op).store(value(s), std::memory_order_relaxed); }

  [[nodiscard]] bool dead() const { return word_.load(std::memory_order_relaxed) == kDead; }

 private:
  static constexpr std::uintptr_t kHeld = 1;
  static constexpr std::uintptr_t kDead = 2;  // no node has this address: nodes are aligned to 4 at least

  static std::uint32_t value(PostState s) { return static_cast<std::uint32_t>(s); }
  static typename Atomics::template Ref<std::uint32_t> state(PostNode& op) {
    return typename Atomics::template Ref<std::uint32_t>{op.state};
  }
  static std::uintptr_t word(PostNode* n);
  static PostNode* node(std::uintptr_t w);

  // Written by every thread that enters, posts or leaves; see each access.
  typename Atomics::template Atomic<std::uintptr_t> word_{0};
};

}  // namespace leat::sync

#include <leat/sync/token_word_unsafe.hpp>
