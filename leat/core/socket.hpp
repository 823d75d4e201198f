#pragma once
// Sockets as the outside sees them: one 40-byte object a socket, named by a Handle, whatever its protocol. It ties a
// handle to the protocol's own object and carries what every form of the API needs: interest, pending edges, the sink,
// the owner. Protocols call `notify` when something becomes true; `next_ready` hands the news out in FIFO order, each
// socket at most once per round, so that nothing is lost and nothing is told twice.
//
// Invariants: a socket is on the ready list exactly when (pending & interest) != 0 and its sink was not yet told.
// Complexity: everything O(1). Threading: one owner.

#include <cstdint>
#include <leat/base/index_list.hpp>
#include <leat/base/prefetch.hpp>
#include <leat/base/result.hpp>
#include <leat/core/error_queue.hpp>
#include <leat/op/handle.hpp>
#include <leat/op/message.hpp>
#include <leat/op/sink.hpp>
#include <optional>
#include <span>

namespace leat {

inline constexpr Index kUnlinked = 0xfffffffeU;  // in a link field: on no list

struct Socket {
  std::uint32_t generation = 1;
  SocketKind kind = SocketKind::none;
  Errc soft_error{};  // what may pass: it says why, should the protocol give up
  Errc error{};       // SO_ERROR: taken by take_error
  OwnerId owner = 0;
  Index object = kNoIndex;  // connection, listener, UDP socket ...
  Ready interest = Ready::none;
  Ready pending = Ready::none;         // edges since last told
  std::uint16_t profile = 0;           // option profile
  SocketKind role = SocketKind::none;  // whose verbs serve it: `kind`, until listen() makes a stream a listener
  std::uint8_t errors = 0;             // entries in its error queue
  Index ready_link = kUnlinked;
  std::uint64_t user = 0;
  const Sink* sink = nullptr;
};
static_assert(sizeof(Socket) <= 40);

struct ReadyEvent {
  Handle socket;
  Ready edges = Ready::none;
  std::uint64_t user = 0;
  const Sink* sink = nullptr;
};

class SocketTable {
 public:
  SocketTable(std::span<Socket> sockets, const ErrorStorage& errors, std::uint8_t shard)
      : sockets_(sockets), errors_(errors), pool_(static_cast<std::uint32_t>(sockets.size())), shard_(shard) {}

  // kNoIndex when full.
  [[nodiscard]] Index open(SocketKind kind, Index object, OwnerId owner);
  // Ends the handle: every later use of it is Errc::bad_handle. The slot is free at once.
  void close(Index socket);

  [[nodiscard]] Handle handle(Index socket) const {
    const Socket& s = sockets_[socket];
    return Handle{s.kind, shard_, s.generation, socket};
  }
  // The socket that a handle names; kNoIndex for a stale, foreign or malformed one.
  [[nodiscard]] Index find(Handle h) const {
    const Index i = h.index();
    if (i >= pool_.watermark() || h.shard() != shard_) return kNoIndex;
    const Socket& s = sockets_[i];
    if (s.kind == SocketKind::none || s.kind != h.kind() || s.generation != h.generation()) return kNoIndex;
    return i;
  }
  [[nodiscard]] Socket& operator[](Index i) { return sockets_[i]; }
  [[nodiscard]] const Socket& operator[](Index i) const { return sockets_[i]; }

  void prefetch(Index i) const {
    leat::prefetch(&sockets_[i].pending);
    leat::prefetch(&sockets_[i].sink);  // half of the sockets lie on two lines
  }

  // Something became true for socket `i` (kNoIndex: nobody listens, nothing happens).
  void notify(Index i, Ready edges) {
    if (i == kNoIndex) return;
    Socket& s = sockets_[i];
    s.pending |= edges;
    if (s.ready_link == kUnlinked && any(s.pending & s.interest)) link(i);
  }
  // Puts an entry into the error queue of socket `i` and tells (Ready::error). False: it has no room.
  bool queue_error(Index i, const ErrorEntry& entry, ByteSpan payload);
  // Takes the oldest entry; how many bytes of its payload went into `to`, or nothing when the queue is empty. As on
  // Linux, SO_ERROR then is the ICMP error that is next in the queue, or none.
  std::optional<std::size_t> take_queued_error(Index i, ErrorEntry& entry, MutableByteSpan to);
  void set_sink(Index i, const Sink* sink, std::uint64_t user, Ready interest);
  // Takes the next socket that has news; its pending edges are cleared. False when there is none.
  [[nodiscard]] bool next_ready(ReadyEvent& event);
  [[nodiscard]] bool has_ready() const { return !ready_.empty(); }

  [[nodiscard]] std::uint32_t used() const { return pool_.used(); }
  [[nodiscard]] std::uint32_t capacity() const { return pool_.capacity(); }
  // Highest index ever used, for walks.
  [[nodiscard]] std::uint32_t watermark() const { return pool_.watermark(); }
  void check_invariants() const;

 private:
  void link(Index i);

  std::span<Socket> sockets_;
  ErrorQueues errors_;
  IndexPool pool_;
  IndexFifo ready_;
  std::uint8_t shard_;
};

}  // namespace leat
