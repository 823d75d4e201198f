#pragma once
// Leftover: what an operation received for somebody who went away before looking: bytes, datagrams, connections. They
// were taken from the socket, so the next who asks for this socket gets them first, by whichever channel or typed
// socket: a service has one Leftover. A dropped receive or accept loses nothing.
//
// Who waits in line already is not given it: what comes next is his.
//
// Bound: one entry per dropped operation, each no larger than its buffer was. Threading: any.

#include <algorithm>
#include <atomic>
#include <deque>
#include <leat/base/address.hpp>
#include <leat/op/handle.hpp>
#include <leat/op/message.hpp>
#include <leat/op/service.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace leat::channel {

class Leftover {
 public:
  struct Received {
    std::size_t count = 0;
    Message message;
  };
  struct Connection {
    Handle socket;
    Endpoint remote;
  };

  // That of the service; made when there is none.
  [[nodiscard]] static std::shared_ptr<Leftover> of(const Service* service);

  void keep(Handle socket, ByteSpan bytes, const Message& message) {
    const std::lock_guard lock(mutex_);
    entries_.fetch_add(1, std::memory_order_relaxed);
    received_.push_back({socket, {bytes.begin(), bytes.end()}, message});
  }
  void keep(Handle listener, const Connection& connection) {
    const std::lock_guard lock(mutex_);
    entries_.fetch_add(1, std::memory_order_relaxed);
    connections_.push_back({listener, connection});
  }
  // The oldest for this socket. Of a stream what does not fit stays; of a datagram it is cut off.
  [[nodiscard]] std::optional<Received> take(Handle socket, MutableByteSpan to) {
    if (empty()) return std::nullopt;
    const std::lock_guard lock(mutex_);
    const auto at = std::ranges::find(received_, socket, &Kept::socket);
    if (at == received_.end()) return std::nullopt;
    const std::size_t n = std::min(to.size(), at->bytes.size());
    std::copy_n(at->bytes.begin(), n, to.begin());
    const Received r{n, at->message};
    if (socket.kind() == SocketKind::stream && n < at->bytes.size()) {
      at->bytes.erase(at->bytes.begin(), at->bytes.begin() + static_cast<std::ptrdiff_t>(n));
    } else {
      received_.erase(at);
      entries_.fetch_sub(1, std::memory_order_relaxed);
    }
    return r;
  }
  // As many datagrams as there are and fit; how many.
  [[nodiscard]] std::size_t take_many(Handle socket, std::span<InDatagram> into) {
    std::size_t n = 0;
    for (; n < into.size(); ++n) {
      const auto kept = take(socket, into[n].to);
      if (!kept) break;
      into[n].count = kept->count;
      into[n].message = kept->message;
    }
    return n;
  }
  void keep_many(Handle socket, std::span<const InDatagram> datagrams) {
    for (const InDatagram& d : datagrams) keep(socket, d.to.first(d.count), d.message);
  }
  [[nodiscard]] std::optional<Connection> take_connection(Handle listener) {
    if (empty()) return std::nullopt;
    const std::lock_guard lock(mutex_);
    const auto at = std::ranges::find(connections_, listener, &Waiting::listener);
    if (at == connections_.end()) return std::nullopt;
    const Connection c = at->connection;
    connections_.erase(at);
    entries_.fetch_sub(1, std::memory_order_relaxed);
    return c;
  }
  // The socket is closed: what it received goes, its connections are the caller's to close.
  [[nodiscard]] std::vector<Handle> forget(Handle socket) {
    if (empty()) return {};
    const std::lock_guard lock(mutex_);
    std::erase_if(received_, [&](const Kept& k) { return k.socket == socket; });
    std::vector<Handle> out;
    std::erase_if(connections_, [&](const Waiting& w) {
      if (w.listener != socket) return false;
      out.push_back(w.connection.socket);
      return true;
    });
    entries_.store(received_.size() + connections_.size(), std::memory_order_relaxed);
    return out;
  }

 private:
  struct Kept {
    Handle socket;
    std::vector<std::uint8_t> bytes;
    Message message;
  };
  struct Waiting {
    Handle listener;
    Connection connection;
  };
  // Nearly always: then calls take no lock that all sockets share.
  [[nodiscard]] bool empty() const { return entries_.load(std::memory_order_relaxed) == 0; }

  // Written under the mutex, read without it. Relaxed: who dropped an operation and asks again has seen his own write,
  // and anybody else has it from him.
  std::atomic<std::size_t> entries_{0};
  std::mutex mutex_;
  std::deque<Kept> received_;
  std::deque<Waiting> connections_;
};

}  // namespace leat::channel
