#pragma once
// Op: one operation on a stack, as data. It stands in its caller's frame (a blocking call), in an awaiter (a
// coroutine), in a slot of a ring (a channel, another process), and allocates nothing. A Service runs it: tries the
// verb, and where that would block, parks the Op on its socket and tries again on readiness, until it is done, its
// deadline comes, it is cancelled, or the socket ends.
//
//   Op op;
//   op.receive(socket, buffer);             // what to do
//   op.deadline = service.now() + Duration::s(5);
//   service.run(op);                        // blocks the thread, or: op.completed = &f; service.start(op);
//   if (op.error == Errc{}) use(op.count, op.status);
//
// Cancel-safe: data leaves a socket and a connection leaves the accept queue only when they stand in the Op's result. A
// transfer that moved something before its deadline or its cancellation ends with what it moved and no error.
//
// Ownership: the Op, its spans and what its pointers name belong to the caller and stay where they are until it is
// complete. An Op can be used again after reset(). Threading: before it is given to a Service and after it is complete
// the caller's; between the two the service's.

#include <cstddef>
#include <cstdint>
#include <leat/base/assert.hpp>
#include <leat/base/post_node.hpp>
#include <leat/base/time.hpp>
#include <leat/op/control.hpp>
#include <leat/op/error_entry.hpp>
#include <leat/op/group_call.hpp>
#include <leat/op/lease.hpp>
#include <leat/op/raw_settings.hpp>
#include <leat/op/waiter.hpp>
#include <memory>
#include <span>

namespace leat {

class ReadySet;
struct SetMember;
struct SetEvent;
struct Op;

// How the end of an Op that is under way is asked for: posted like an Op.
struct CancelNode : PostNode {
  explicit CancelNode(Op& o) : PostNode(PostKind::cancel), op(&o) {}
  Op* op;
};

enum class Verb : std::uint8_t {
  none,            // nothing: completes at once (a turn of the shard happens)
  open,            // kind, version, protocol -> handle
  bind,            // endpoint
  listen,          // backlog
  connect,         // endpoint; waits until it is connected
  accept,          // -> handle, endpoint (the peer)
  send,            // from [, endpoint] [, *overrides]; a stream: waits until all is queued
  send_many,       // out: each of them as send_to; waits until all are queued -> count, of datagrams
  receive_many,    // in: waits for at least one datagram, takes what is there -> count, of datagrams
  receive,         // to [, *message] -> count, status, value (of a stream: where its octets stand); waits for at
                   // least one byte or datagram
  receive_lease,   // *lease [, *message] -> count, status: as receive, without a copy
  release_lease,   // *lease
  take_lease,      // value: octets -> *lease, empty and writable; no_buffers, message_too_long (64 KiB are the most)
  send_lease,      // *lease, value: the octets that were written [, endpoint] [, *overrides of a datagram]; waits until
                   // the memory is free again
  give_back,       // from, *message, value (of the receive): what was received and not looked at; the next receive has
                   // it first. Waits until it is taken; bad_handle when the socket is closed
  give_accepted,   // value (bits of a handle), endpoint: the same of a listener and what was accepted, which is closed
                   // with it
  receive_error,   // to -> count, *error_entry: the oldest of the socket's error queue; would_block without one
  shutdown,        // how
  finish,          // a stream: FIN behind what was sent; waits until the peer has acknowledged all of it
  close,           // graceful; completes what waits on the socket with bad_handle. A stream with a `linger` above 0
                   // waits, but with dont_wait, until the peer has acknowledged all of it or those seconds are over;
                   // however it ends, the socket is closed
  abort,           // RST
  local_endpoint,  // -> endpoint
  remote_endpoint,  // -> endpoint
  set_option,       // option, value
  get_option,       // option -> value
  take_error,       // -> value: an Errc, 0 for none
  give_error,       // value: the Errc that take_error gives next
  tcp_info,         // -> *info
  readiness,        // -> ready
  poll,             // watches: waits until one of them is ready -> count
  add_member,       // *set, *member: the member watches its socket for the set
  change_member,    // *set, *member with new interest or flags
  remove_member,    // *set, *member
  wait_set,         // *set, value (wake_set): waits until it has something -> events, count (events empty: count is
                    // 1, nothing is taken, and wake_set does not concern it)
  wake_set,         // *set, value: who waits on it with a lower `value` gets interrupted, now or as soon as it waits
  close_set,        // *set: its members leave it, who waits on it gets bad_handle
  group,            // *group: membership in multicast groups
  set_raw,          // *raw: of a raw socket
  get_raw,          // -> *raw
  control,          // *control
};

struct OpFlags {
  bool dont_wait : 1 = false;  // answer would_block (a value) or again (connect, finish: in_progress) at once
  bool peek : 1 = false;       // receive: leave the data where it is
  bool wait_all : 1 = false;   // receive from a stream: wait until the spans are full
  bool some : 1 = false;       // send, send_many: what fits is enough, at least one byte or datagram
  bool alone : 1 = false;      // bind, listen: BindHow::alone
};

// One of poll's sockets.
struct Watch : Waiter {
  Watch() : Waiter(WaiterKind::watch) {}
  Handle socket;
  Ready wanted = Ready::none;  // error, closed, unconnected and hung_up are always told
  Ready ready = Ready::none;   // result
  Op* op = nullptr;            // the engine's
};

struct Op : PostNode, Waiter {
  Op() : Waiter(WaiterKind::op) {}

  // --- what to do ---
  Verb verb = Verb::none;
  OpFlags flags;
  Handle socket;
  Instant deadline = Instant::never();
  std::span<const ByteSpan> from;       // send, in this order
  std::span<const MutableByteSpan> to;  // receive
  ByteSpan one_from;                    // where the functions below keep a single span
  MutableByteSpan one_to;
  bool has_endpoint = false;  // send: to `endpoint`, not to where the socket is connected
  Endpoint endpoint;
  std::span<const OutDatagram> out;          // send_many
  std::span<InDatagram> in;                  // receive_many
  const SendOverrides* overrides = nullptr;  // of a datagram
  Message* message = nullptr;
  ErrorEntry* error_entry = nullptr;
  SocketKind kind = SocketKind::stream;
  IpVersion version = IpVersion::v4;
  std::uint8_t protocol = 0;
  OwnerId owner = 0;
  std::uint32_t backlog = 0;
  ShutdownHow how = ShutdownHow::both;
  OptionId option = OptionId::ip_default_ttl;
  std::int64_t value = 0;
  tcp::TcpInfo* info = nullptr;
  ControlRequest* request = nullptr;
  GroupCall* group = nullptr;
  RawSettings* raw = nullptr;
  Lease* lease = nullptr;
  std::span<Watch> watches;
  ReadySet* set = nullptr;
  SetMember* member = nullptr;
  std::span<SetEvent> events;

  // --- how it is waited for ---
  // Called once when the operation is complete, after the token was let go, in whichever thread let it go: it must be
  // short, must not block and must run no user code (it queues a resumption, writes a descriptor ...). It may use the
  // Op again or end it. Unset for Service::run.
  void (*completed)(Op&) = nullptr;
  void* context = nullptr;  // the caller's
  // A blocking run() also ends, with Errc::interrupted and also_ready, when this descriptor is readable.
  int also_fd = -1;
  void* sleeper = nullptr;  // the service's

  // --- what came out ---
  Errc error{};  // none: it worked
  IoStatus status = IoStatus::done;
  std::size_t count = 0;  // bytes, datagrams, watches or events
  Handle handle;          // opened or accepted
  Ready ready = Ready::none;
  bool also_ready = false;  // what interrupted it: also_fd

  // --- the engine's and the service's ---
  Op* heap_child = nullptr;  // deadlines: base/pairing_heap.hpp
  Op* heap_sibling = nullptr;
  Op* heap_previous = nullptr;
  bool in_heap = false;
  bool pending = false;     // parked
  bool started = false;     // connect, finish, close, send_lease: has begun
  bool to_finish = false;   // poll: on the list of those that have something
  Op* list_next = nullptr;  // among those who wait on a ready set, on that list, or among the completed
  Op* parked_next = nullptr;
  Op* parked_previous = nullptr;
  CancelNode cancel_node{*this};
  alignas(4) std::uint32_t cancel_state = 0;  // the service's: whether cancel_node is on its way

  // Makes it new: everything but `completed`, `context` and `owner`.
  void reset() {
    LEAT_ASSERT(!pending);
    auto* const done = completed;
    auto* const ctx = context;
    const OwnerId who = owner;
    std::destroy_at(this);
    std::construct_at(this);
    completed = done;
    context = ctx;
    owner = who;
  }
  void open(SocketKind k, IpVersion v = IpVersion::v4, std::uint8_t proto = 0) {
    verb = Verb::open;
    kind = k;
    version = v;
    protocol = proto;
  }
  void bind(Handle h, const Endpoint& e) { on(Verb::bind, h), endpoint = e; }
  void listen(Handle h, std::uint32_t n) { on(Verb::listen, h), backlog = n; }
  void connect(Handle h, const Endpoint& e) { on(Verb::connect, h), endpoint = e; }
  void accept(Handle h) { on(Verb::accept, h); }
  void send(Handle h, ByteSpan bytes) { on(Verb::send, h), one_from = bytes, from = {&one_from, 1}; }
  void send(Handle h, std::span<const ByteSpan> parts) { on(Verb::send, h), from = parts; }
  void send_to(Handle h, ByteSpan bytes, const Endpoint& e) { send(h, bytes), endpoint = e, has_endpoint = true; }
  void receive(Handle h, MutableByteSpan bytes) { on(Verb::receive, h), one_to = bytes, to = {&one_to, 1}; }
  void receive(Handle h, std::span<const MutableByteSpan> parts) { on(Verb::receive, h), to = parts; }
  void receive_from(Handle h, MutableByteSpan bytes, Message& m) { receive(h, bytes), message = &m; }
  void send_many(Handle h, std::span<const OutDatagram> d) { on(Verb::send_many, h), out = d; }
  void receive_many(Handle h, std::span<InDatagram> d) { on(Verb::receive_many, h), in = d; }
  void finish(Handle h) { on(Verb::finish, h); }
  void shutdown(Handle h, ShutdownHow w) { on(Verb::shutdown, h), how = w; }
  void close(Handle h) { on(Verb::close, h); }
  void abort(Handle h) { on(Verb::abort, h); }
  void set_option(Handle h, OptionId id, std::int64_t v) { on(Verb::set_option, h), option = id, value = v; }
  void get_option(Handle h, OptionId id) { on(Verb::get_option, h), option = id; }
  void control(ControlRequest& r) { verb = Verb::control, request = &r; }

  [[nodiscard]] Result<IoCount> io() const {
    if (error != Errc{}) return fail(error);
    return IoCount{count, status};
  }
  [[nodiscard]] Result<void> done() const {
    if (error != Errc{}) return fail(error);
    return {};
  }

 private:
  void on(Verb v, Handle h) { verb = v, socket = h; }
};

}  // namespace leat
