#pragma once
// OpenFile: an open file description: what descriptors made by dup() share: the socket's handle, its O_NONBLOCK and
// time-outs, and what the form remembers of it. OpenFiles live in chunks that are never given back, so that who holds
// a stale pointer reads an object that is there, and finds out by looking at the descriptor again (descriptors.hpp).
//
// Threading: the atomics are read by every call and written by those that change them (relaxed: each is a value of its
// own; that the set of them belongs to one description is told by the descriptor's slot). The rest: under the mutex of
// Sockets.

#include <atomic>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/op/handle.hpp>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace leat::posix {

class EpollSet;

// Bits of OpenFile::flags.
enum FileFlag : std::uint32_t {
  kNonBlocking = 1U << 0,
  kV6 = 1U << 1,        // AF_INET6
  kBound = 1U << 2,     // bind() or something that implies it was done
  kSet = 1U << 3,       // an epoll set, no socket
  kMore = 1U << 4,      // MSG_MORE holds the last segment back
  kZeroCopy = 1U << 5,  // SO_ZEROCOPY
  // What recvmsg() shall tell beside the data.
  kTellPacketInfo = 1U << 8,
  kTellTtl = 1U << 9,
  kTellTos = 1U << 10,
  kTellPacketInfo6 = 1U << 11,
  kTellHopLimit = 1U << 12,
  kTellTrafficClass = 1U << 13,
  kTellTime = 1U << 14,
  kTellTimeNs = 1U << 15,
  kTellDestination = 1U << 16,
  kTellInQueue = 1U << 17,
  kTellMissed = 1U << 18,  // SO_RXQ_OVFL
  kTellTimes = 1U << 19,   // SO_TIMESTAMPING
};

// Where a stream stands, as far as connect() and poll() care.
enum class Phase : std::uint8_t { fresh, connecting, connected, failed, listening };

// In which set it is, and under which name.
struct Membership {
  std::weak_ptr<EpollSet> set;
  std::pair<std::uint64_t, int> key;
};

struct OpenFile {
  std::atomic<std::uint64_t> handle{0};
  std::atomic<std::uint32_t> flags{0};
  std::atomic<Phase> phase{Phase::fresh};
  std::atomic<std::uint8_t> protocol{0};
  std::atomic<std::int64_t> receive_timeout_ns{0};  // 0: none
  std::atomic<std::int64_t> send_timeout_ns{0};
  std::atomic<std::uint32_t> pending_zero_copy{0};  // completions of MSG_ZEROCOPY that nobody read yet

  std::uint32_t generation = 0;
  std::uint32_t descriptors = 0;
  std::uint32_t place = 0;  // its index while it is in use; while it is free: the next free one, plus 1
  std::uint32_t zero_copy_count = 0;
  Endpoint name;  // what bind() was given: kept where a fresh socket takes its place
  std::vector<Membership> memberships;
  std::map<std::uint64_t, std::int64_t>
      remembered;  // options that are kept, and nothing here knows: level << 32 | name
  std::shared_ptr<EpollSet> set;

  [[nodiscard]] bool has(FileFlag f) const { return (flags.load(std::memory_order_relaxed) & f) != 0; }
  void put(FileFlag f, bool on) {
    if (on) {
      flags.fetch_or(f, std::memory_order_relaxed);
    } else {
      flags.fetch_and(~static_cast<std::uint32_t>(f), std::memory_order_relaxed);
    }
  }
};

}  // namespace leat::posix
