#pragma once
// OpEngine: runs operations (op/op.hpp) against a stack: tries the verb, parks what would block on its socket, tries
// again when the socket becomes ready, ends what is over its deadline. It also keeps ready sets. Whoever turns the
// shard owns the engine; it knows no thread and no clock.
//
//   start(op) -> true: complete            Shard::turn -> sink -> the socket's waiters are tried again
//             -> false: parked             settle(now): deadlines, polls and ready sets that have something
//                                          take_completed(): who is to be told
//
// Operations of one socket are served first come first served in each direction: who comes while another one waits to
// move something the same way stands in line behind him, untried; with dont_wait he is told would_block. A socket has
// either a callback (CallbackSocket) or operations, never both: the second gets Errc::wrong_state.
//
// Complexity: a try costs what the verb costs; parking O(1) in what is parked elsewhere, O(w) in the w waiters of the
// same socket. Threading: the owner of the shard. Nothing is allocated.

#include <leat/base/pairing_heap.hpp>
#include <leat/core/stack.hpp>
#include <leat/op/op.hpp>
#include <leat/op/ready_set.hpp>

namespace leat {

class OpEngine {
 public:
  explicit OpEngine(Stack& stack) : stack_(&stack) {}
  OpEngine(const OpEngine&) = delete;
  OpEngine& operator=(const OpEngine&) = delete;
  ~OpEngine() { LEAT_ASSERT(parked_ == nullptr && completed_head_ == nullptr); }

  // True: the operation is complete, its result stands in it, and take_completed() will not give it. False: it is
  // parked and comes out of take_completed() later.
  [[nodiscard]] bool start(Op& op);
  // Ends a parked operation with this error, or with what it moved so far; take_completed() gives it. False: it is not
  // parked here.
  bool withdraw(Op& op, Errc why);
  // Ends everything that is parked: the stack is about to end. Sets lose their members.
  void withdraw_all(Errc why);

  // After a turn, or after operations: what came due and what has something to tell.
  // True: an operation's time was over, and those who stood behind it may have sent something.
  bool settle(Instant now);
  [[nodiscard]] Instant next_deadline() const {
    return deadlines_.empty() ? Instant::never() : deadlines_.top()->deadline;
  }
  // Parked operations that were completed, oldest first; nullptr: no more.
  [[nodiscard]] Op* take_completed();
  // Nothing is parked.
  [[nodiscard]] bool idle() const { return parked_ == nullptr; }
  // Ready sets or polls wait for settle().
  [[nodiscard]] bool unsettled() const { return serve_ != nullptr || finish_head_ != nullptr; }

  [[nodiscard]] Stack& stack() { return *stack_; }

 private:
  struct HeapLinks {
    static Op*& child(Op& o) { return o.heap_child; }
    static Op*& sibling(Op& o) { return o.heap_sibling; }
    static Op*& previous(Op& o) { return o.heap_previous; }
    static bool before(const Op& a, const Op& b) { return a.deadline < b.deadline; }
  };
  enum class Try : std::uint8_t { complete, blocked };
  // What every waiter is told, asked for or not; of a stream that is not connected, or not for long, only who looks at
  // it.
  static constexpr Ready kAlways = Ready::error | Ready::closed;
  static constexpr Ready kShown = kAlways | Ready::unconnected | Ready::hung_up;

  // An operation's life (op_engine.cpp).
  Try attempt(Op& op);
  static Ready interest_of(const Op& op);
  bool park(Op& op);
  void unpark(Op& op);
  void complete(Op& op);
  void expire(Op& op, Errc why);
  void give_up(Op& op, Errc why);
  static Try end(Op& op, Errc error);
  static Try end(Op& op, const Result<void>& r) { return end(op, r ? Errc{} : r.error()); }

  // Verbs that never wait (op_at_once.cpp).
  Try run_at_once(Op& op);
  Result<void> group_call(GroupCall& call, Handle socket);
  static Try give_endpoint(Op& op, const Result<Endpoint>& r);

  // Verbs that wait on one socket (op_transfer.cpp).
  Try attempt_connect(Op& op);
  Try attempt_accept(Op& op);
  Try attempt_send(Op& op);
  Try attempt_send_stream(Op& op);
  Result<IoCount> send_datagram(Op& op, ByteSpan bytes);
  Try attempt_send_many(Op& op);
  Try attempt_receive(Op& op);
  [[nodiscard]] std::size_t low_water(Handle stream) const;
  Try attempt_receive_many(Op& op);
  Try attempt_receive_error(Op& op);
  Try attempt_finish(Op& op);
  Try attempt_close(Op& op);
  [[nodiscard]] bool lingers(const Op& op);
  void keep_error(Handle h, Errc error);

  // Packet memory that changes hands (op_lease.cpp).
  Try attempt_receive_lease(Op& op);
  Errc release_lease(Lease& lease);
  Errc take_lease(Lease& lease, std::int64_t octets);
  Try attempt_send_lease(Op& op);
  Result<bool> queue_lease(Op& op);
  Result<bool> send_lease_as_datagram(Op& op);
  void settle_leases();
  void finish_lease(Op& op);

  // What receives and accepts brought back (op_give_back.cpp).
  Try attempt_give_back(Op& op);
  void keep_given(Op& op);
  void drop_given(Op& op);
  void end_given(Handle socket, Errc why);
  [[nodiscard]] Op* given_to(Handle socket);
  [[nodiscard]] bool take_given(Op& op);
  bool take_given_octets(Op& op);
  bool take_given_datagram(Handle socket, MutableByteSpan to, Message* message, std::size_t& count, bool peek);
  static bool gives_back(const Op& op) { return op.verb == Verb::give_back || op.verb == Verb::give_accepted; }

  // Who waits on a socket (op_waiters.cpp).
  Errc link(Waiter& w, Handle socket, Ready interest);
  void unlink(Waiter& w);
  [[nodiscard]] Waiter* waiters_of(Handle socket);
  [[nodiscard]] bool has_sink(Handle socket) const {
    const SocketTable& sockets = stack_->core().sockets;
    const Index i = sockets.find(socket);
    return i != kNoIndex && sockets[i].sink != nullptr;
  }
  enum class Line : std::uint8_t { none, behind_another, of_a_closed_socket };
  [[nodiscard]] Line line_for(const Op& op);
  // One that lingers. It stands alone: it ended those before it, and nobody comes behind it.
  static bool is_close(const Waiter& w) {
    return w.kind == WaiterKind::op && static_cast<const Op&>(w).verb == Verb::close;
  }
  void go_on(Handle socket, Ready way);
  // A peek that waits for more leaves what is there to those behind it.
  static bool only_looks(const Op& op) { return op.verb == Verb::receive && op.flags.peek; }
  static void refresh(Stack& stack, Waiter* first);
  void end_waiters(Handle socket, Errc why);
  static void on_ready(void* context, std::uint64_t user, Handle socket, Ready level, Ready edges);
  void tell(Waiter* first, Ready edges);
  Try attempt_poll(Op& op);

  // Ready sets (op_sets.cpp).
  Try attempt_wait_set(Op& op);
  Try attempt_set_call(Op& op);
  Errc add_member(ReadySet& set, SetMember& m);
  Errc change_member(ReadySet& set, SetMember& m);
  Errc remove_member(ReadySet& set, SetMember& m);
  void wake_set(ReadySet& set, std::int64_t value);
  void close_set(ReadySet& set);
  void enqueue(SetMember& m);
  std::size_t collect(ReadySet& set, std::span<SetEvent> events);
  void serve(ReadySet& set);
  void leave_set(Op& op);

  Stack* stack_;
  PairingHeap<Op, HeapLinks> deadlines_;
  Op* completed_head_ = nullptr;  // by list_next
  Op* completed_tail_ = nullptr;
  Op* finish_head_ = nullptr;  // polls that have something, by list_next
  Op* finish_tail_ = nullptr;
  ReadySet* serve_ = nullptr;  // sets that have something for those who wait, by serve_next_
  Op* parked_ = nullptr;       // all that are parked, newest first
  std::size_t lent_ = 0;       // octets of chunks in leases
  std::int64_t received_ = 0;  // octets of all streams, or more: what a receive calls its place
  Op* given_ = nullptr;        // what was given back and nobody has yet, by list_next
  Op* lent_out_ = nullptr;     // sends of leases whose memory is not free yet, by list_next
};

// Answers a request of op/control.hpp. Threading: the owner of the shard.
[[nodiscard]] Errc control(Stack& stack, ControlRequest& request);

}  // namespace leat
