#pragma once
// Lent: received data where it lies in packet memory, until it is released: what Sockets::receive_lent() gives. It
// keeps the stack's memory, also beyond the end of the descriptor and of the stack.
//
//   posix::Lent data;
//   while (net.receive_lent(fd, data, 0) > 0) {
//     for (leat::ByteSpan piece : data.pieces()) use(piece);
//     data.release();
//   }
//
// Threading: a value; it may be released in another thread than the one that received.

#include <leat/op/service.hpp>
#include <memory>

namespace leat::posix {

class Lent {
 public:
  Lent() = default;
  ~Lent() { release(); }
  Lent(Lent&& o) noexcept : service_(std::move(o.service_)), lease_(std::exchange(o.lease_, Lease{})) {}
  Lent& operator=(Lent&& o) noexcept {
    if (this != &o) {
      release();
      service_ = std::move(o.service_);
      lease_ = std::exchange(o.lease_, Lease{});
    }
    return *this;
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  [[nodiscard]] std::span<const ByteSpan> pieces() const { return lease_.pieces(); }
  // Gives the memory back; the pieces are no more.
  void release();

 private:
  friend class Sockets;
  std::shared_ptr<Service> service_;
  Lease lease_;
};

}  // namespace leat::posix
