#pragma once
// A stack attached to an io_context: its sockets are then made from the io_context as Boost.Asio's own are.
//
//   boost::asio::io_context io;
//   leat::asio::attach(io, stack);                  // stack: a shared_ptr<leat::Service>
//   leat::asio::stream_socket socket(io);           // instead of boost::asio::ip::tcp::socket
//   io.run();
//
// While the threads of the io_context sleep, the io_context watches the stack's devices for them (by a descriptor of
// the stack in its reactor), so that the stack needs no thread of its own. That watch is no work: run() returns when
// nothing else is left. It begins with the first asynchronous operation.
//
// Threading: attach before sockets are made; the rest from any thread.

#include <boost/asio/io_context.hpp>
#include <leat/op/service.hpp>
#include <memory>

namespace leat::asio {

// Sockets that are made without a Service of their own use the one that was attached first.
void attach(boost::asio::io_context& io, std::shared_ptr<Service> service);

// The Service of an execution context; empty: none was attached.
[[nodiscard]] std::shared_ptr<Service> attached(boost::asio::execution_context& context);

}  // namespace leat::asio
