#pragma once
// OwnedBuffer: a piece of packet memory that a program fills and gives to a socket, which sends it as it lies: in a
// stream, or as a datagram. When nobody needs it any more (the peer has acknowledged it, the device has let go, or the
// connection is over) the buffer is complete, and can be taken again.
//
//   posix::OwnedBuffer b;
//   net.take_buffer(b, 16384);
//   fill(b.data());
//   net.send_owned(fd, b, 16384);          // returns at once
//   ...  if (b.complete()) ...             // or b.wait()
//
// Threading: one thread at a time; complete() and wait() from any.

#include <atomic>
#include <leat/op/service.hpp>
#include <memory>

namespace leat::posix {

class OwnedBuffer {
 public:
  OwnedBuffer() = default;
  // What is under way is cancelled first: the stack sends it all the same, from memory that it keeps.
  ~OwnedBuffer() { reset(); }
  OwnedBuffer(const OwnedBuffer&) = delete;
  OwnedBuffer& operator=(const OwnedBuffer&) = delete;

  // Empty unless it was taken and not sent yet.
  [[nodiscard]] MutableByteSpan data() const { return under_way() ? MutableByteSpan{} : lease_.writable(); }
  // It was sent, and its memory is free again.
  [[nodiscard]] bool complete() const { return state_.load(std::memory_order_acquire) == State::complete; }
  [[nodiscard]] bool under_way() const { return state_.load(std::memory_order_acquire) == State::under_way; }
  // Blocks the thread until it is not under way. (Something must turn the stack meanwhile: another thread, the
  // janitor.)
  void wait() const { state_.wait(State::under_way, std::memory_order_acquire); }
  // 0, or the errno value with which the send ended: EPIPE, ECONNRESET, EMSGSIZE, ENETDOWN ... After an error the data
  // is the program's still.
  [[nodiscard]] int error() const;
  // Gives the memory back; a send that is under way goes on without it.
  void reset();

 private:
  friend class Sockets;
  enum class State : std::uint32_t { idle, under_way, complete };
  // Written by the completion (any thread, release), read by the program (acquire): the result is there.
  std::atomic<State> state_{State::idle};
  std::shared_ptr<Service> service_;
  Lease lease_;
  Op op_;
};

}  // namespace leat::posix
