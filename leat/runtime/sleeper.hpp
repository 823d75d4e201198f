#pragma once
// Sleeper: where a thread sleeps while it waits for a shard (rule 8): an epoll set of its own bell and, while it is the
// one who watches, the shard's ShardWatch. One per thread and shard, made at the first wait, reference-counted, so that
// a late ring of the bell finds it.
//
// The watch joins a sleeper's set when it is first armed. A few sleepers of a shard then keep it there, unarmed,
// because arming what is there is the cheapest; the others put it back. For the kernel walks over all sets that hold
// the watch with every packet, and refuses more than 500 of them.
//
// ThreadSleepers keeps a thread's. A stack that ends leaves its mark, and the thread forgets its sleeper when it next
// makes one.
// Threading: sleep* by its thread; arm under the token; wake, ref and unref from any thread.

#include <atomic>
#include <leat/base/time.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/runtime/shard_token.hpp>
#include <leat/sync/atomics.hpp>
#include <memory>
#include <vector>

namespace leat {

// What a shard shares with the sleepers of its threads, which may outlive it.
struct ShardMark {
  // Says that a stack has ended; written once by its end, read by threads. Release/acquire are not needed: nothing else
  // hangs on it.
  std::atomic<bool> ended{false};
  // Sleepers that keep the watch in their set. Written under the token and by the end of a sleeper, relaxed: a count
  // that is late by one costs a system call.
  std::atomic<unsigned> keepers{0};
};

class Sleeper : public SleeperState<sync::StdAtomics> {
 public:
  static constexpr unsigned kKeepers = 32;

  struct Woken {
    bool watch = false;        // the shard has something to do
    bool interrupted = false;  // a signal
    bool also = false;         // the other descriptor
    bool rung = false;         // its bell
  };
  // With one reference. nullptr: no descriptors left.
  [[nodiscard]] static Sleeper* make(std::shared_ptr<ShardMark> mark, int watch_fd);

  void ref() { references_.fetch_add(1, std::memory_order_relaxed); }
  void unref() {
    // acq_rel: whoever ends it sees what the others did with it.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  void arm(bool on);
  // While it is armed: a device's descriptor stands in the set beside the watch. A set within a set costs the kernel
  // half as much again for each wake-up.
  [[nodiscard]] bool join_device(int fd);
  void leave_device(int fd);
  void wake();
  // Until something comes; also_fd joins the set and stays in it while it is the same.
  Woken sleep(int also_fd, int timeout_ms);
  // Its own bell only.
  void sleep_alone();

  // Its thread's notes while it spins.
  Instant spin_until;
  unsigned spin_rounds = 0;
  unsigned spin_left = 0;  // rounds, when it waits for an owner only
  unsigned waits = 0;
  std::atomic<int>* credit = nullptr;  // of the stack: what this spin counts for
  bool one_cpu = false;

  void look_at_affinity();

 private:
  Sleeper() = default;
  ~Sleeper();
  void join_watch();
  void leave_watch();
  void watch_also(int fd);

  Descriptor epoll_;
  Descriptor bell_;
  Descriptor alone_;  // a set with the bell only, made when it is first needed
  std::shared_ptr<ShardMark> mark_;
  int watch_fd_ = -1;
  // Written by its thread, and by an owner of the token who adds a device with a number that was that descriptor's
  // once. Relaxed: nothing hangs on it.
  std::atomic<int> also_{-1};
  // Of those descriptors the latest. One that was closed stays in the set when a child of a fork() has it still, and
  // can't be taken out: it is armed for one report at a time, and reports of an earlier one are nobody's.
  std::uint32_t also_turn_ = 0;
  bool joined_ = false;  // the watch is in the set
  bool keeps_ = false;   // and stays there
  // The kernel did not take the watch: it looks every millisecond. Written under the token, read by the sleeper's
  // thread; relaxed: the ring of the bell that follows brings it.
  std::atomic<bool> polls_{false};
  // Counts who may still ring. See unref().
  std::atomic<std::uint32_t> references_{1};
};

class ThreadSleepers {
 public:
  using Mark = std::shared_ptr<ShardMark>;
  ~ThreadSleepers();
  // This thread's for the stack with this mark; made when there is none. nullptr: no descriptors left.
  [[nodiscard]] static Sleeper* find(const Mark& mark, int watch_fd);

 private:
  struct Entry {
    Mark mark;
    Sleeper* sleeper = nullptr;
  };
  std::vector<Entry> entries_;
};

}  // namespace leat
