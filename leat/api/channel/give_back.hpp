#pragma once
// What a dropped operation had received goes back to the stack (Verb::give_back): bytes, datagrams, a connection. Who
// waits for the socket has it at once, else the next who asks, in whatever form and by whichever channel; when the
// socket is closed, the bytes go and the connection is closed. A dropped receive or accept loses nothing.
//
// Each is copied into memory of its own, which is free again when somebody has it, the socket is closed or the stack
// ends. Threading: any.

#include <leat/op/service.hpp>

namespace leat::channel {

// `order`: the value of the operation that received them, of a stream.
void give_back(Service& service, Handle socket, ByteSpan bytes, const Message& message, std::int64_t order);
void give_back_many(Service& service, Handle socket, std::span<const InDatagram> datagrams);
void give_back_connection(Service& service, Handle listener, Handle connection, const Endpoint& remote);

}  // namespace leat::channel
