#pragma once
// Service: where operations go. A shard of this process (runtime/shared_stack.hpp), the service process (client), or a
// stack under a virtual clock. The forms of the API know this and nothing below it.
//
//   run(op)     blocks the calling thread until the operation is complete. While it waits, the thread may do the
//               shard's work. op.completed must be unset. Called with op.flags.dont_wait it never blocks.
//   start(op)   returns at once. op.completed is called exactly once, perhaps before start() returns.
//   cancel(op)  asks for the end of an operation that start() took; completion still comes through op.completed: with
//               Errc::cancelled, or with the real result when that was first. Safe at any time before completion was
//               handled by the caller; calling it twice does nothing more. From a thread that may still race with the
//               completion, the caller must keep the Op alive.
//
// Errors that the service adds to those of the verbs: shut_down (the stack is gone, or this is a child after fork),
// again (called from inside the same shard: a device, a log sink, a signal handler that interrupted the owner),
// interrupted (a signal came while it slept, or op.also_fd became readable: op.also_ready), timed_out (the deadline).
//
// Threading: any thread, any number at once. Forms hold a shared_ptr<Service>, so that a stack outlives its last
// caller.

#include <leat/op/op.hpp>
#include <leat/op/ready_set.hpp>

namespace leat {

class Service {
 public:
  virtual void run(Op& op) = 0;
  virtual void start(Op& op) = 0;
  virtual void cancel(Op& op) = 0;
  // The clock of deadlines.
  [[nodiscard]] virtual Instant now() const = 0;
  // A descriptor that is readable when poll() has something to do, for programs with an event loop of their own; -1
  // where there is none. Asking for it makes the program the one who watches the devices while it sleeps.
  [[nodiscard]] virtual int pollable_fd() { return -1; }
  // The program does so no more: whoever the service has for that watches again.
  virtual void release_pollable_fd() {}
  // One turn of the stack, if nobody else is at it. Returns when it wants to be called next.
  virtual Instant poll() { return Instant::never(); }

 protected:
  ~Service() = default;  // nobody deletes through it
};

}  // namespace leat
