#pragma once
// Leftover: what an operation received for somebody who went away before looking: bytes, datagrams, connections. They
// were taken from the socket, so the next who asks for this socket gets them first: a dropped receive or accept loses
// nothing.
//
// Bound: one entry per dropped operation, each no larger than its buffer was. Threading: any.

#include <algorithm>
#include <deque>
#include <leat/base/address.hpp>
#include <leat/op/handle.hpp>
#include <leat/op/message.hpp>
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

  void keep(Handle socket, ByteSpan bytes, const Message& message) {
    const std::lock_guard lock(mutex_);
    received_.push_back({socket, {bytes.begin(), bytes.end()}, message});
  }
  void keep(Handle listener, const Connection& connection) {
    const std::lock_guard lock(mutex_);
    connections_.push_back({listener, connection});
  }
  // The oldest for this socket. Of a stream what does not fit stays; of a datagram it is cut off.
  [[nodiscard]] std::optional<Received> take(Handle socket, MutableByteSpan to) {
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
    const std::lock_guard lock(mutex_);
    const auto at = std::ranges::find(connections_, listener, &Waiting::listener);
    if (at == connections_.end()) return std::nullopt;
    const Connection c = at->connection;
    connections_.erase(at);
    return c;
  }
  // The socket is closed: what it received goes, its connections are the caller's to close.
  [[nodiscard]] std::vector<Handle> forget(Handle socket) {
    const std::lock_guard lock(mutex_);
    std::erase_if(received_, [&](const Kept& k) { return k.socket == socket; });
    std::vector<Handle> out;
    std::erase_if(connections_, [&](const Waiting& w) {
      if (w.listener != socket) return false;
      out.push_back(w.connection.socket);
      return true;
    });
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
  std::mutex mutex_;
  std::deque<Kept> received_;
  std::deque<Waiting> connections_;
};

}  // namespace leat::channel
