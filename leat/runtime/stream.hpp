#pragma once
// TCP for hosted programs in one function: a handler that is called whenever its connection can go on.
//
//   leat::StreamServer echo(stack, {.port = leat::Port{7}}, [](leat::StreamConnection& c) {
//     std::array<std::uint8_t, 16384> data;
//     while (c.pending() == 0) {                                   // the peer has taken what we wrote
//       const leat::IoCount got = c.read(data);
//       if (got.count == 0) break;                                 // nothing now, or nothing ever
//       c.write({data.data(), got.count});
//     }
//     if (c.at_end()) c.close();
//   });
//
// StreamConnection is a callback socket with an output queue: what write() can't send at once waits here and leaves by
// itself, and the handler is called again when it has gone. Looking at pending() before reading more is back-pressure.
// The handler is called once more when the connection failed (is_open() is false, error() tells why); after that, or
// after its own close() or abort(), the object and the handler are gone: keep no pointer to them.
//
// Handlers run inside Shard::turn and may do anything, ending their own connection, other connections or the server
// (also by destroying a client's own object). The heap is used per connection, and for output that waits. Threading:
// the owner of the shard.

#include <functional>
#include <leat/drive/callback_socket.hpp>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace leat {

class StreamConnection {
 public:
  using Handler = std::function<void(StreamConnection&)>;

  // Starts to connect. The handler is first called when it is connected, or with is_open() false when that failed. The
  // object lives until the connection ends; the caller ends it early by reset().
  [[nodiscard]] static Result<std::unique_ptr<StreamConnection>> connect(Stack& stack, const Endpoint& remote,
                                                                         Handler handler, const Endpoint& local = {});
  ~StreamConnection() {
    if (alive_ != nullptr) *alive_ = false;
  }
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;

  // Nothing to read now: count 0 and would_block. The peer has finished, or the connection is over: end_of_stream.
  IoCount read(MutableByteSpan to);
  // read() has seen the end of stream: nothing more will come.
  [[nodiscard]] bool at_end() const { return at_end_; }
  // Sends what fits, queues the rest. Bytes written after close() or the connection's end are dropped.
  void write(ByteSpan bytes);
  // Sends what fits and no more; nothing while pending() > 0.
  [[nodiscard]] std::size_t try_write(ByteSpan bytes);
  [[nodiscard]] std::size_t pending() const { return output_.size() - output_at_; }

  // Both send what is pending first. shutdown_write: FIN, and the peer may go on sending.
  void shutdown_write();
  void close();
  void abort();

  [[nodiscard]] bool is_open() const { return socket_.is_open() && !closing_; }
  [[nodiscard]] std::optional<Errc> error() const { return error_; }
  [[nodiscard]] Endpoint remote() const { return remote_; }
  [[nodiscard]] Stack& stack() const { return *stack_; }
  [[nodiscard]] Handle handle() const { return socket_.handle(); }
  // The last time that the peer sent something or took something.
  [[nodiscard]] Instant last_progress() const { return last_progress_; }

 private:
  friend class StreamServer;
  StreamConnection(Stack& stack, Handler handler)
      : stack_(&stack), handler_(std::move(handler)), last_progress_(stack.now()) {}
  void on_event(CallbackSocket& socket, Ready events);
  void flush();
  void finish();

  Stack* stack_;
  CallbackSocket socket_;
  Handler handler_;
  Endpoint remote_;
  std::vector<std::uint8_t> output_;
  std::size_t output_at_ = 0;
  std::optional<Errc> error_;
  Instant last_progress_;
  bool in_handler_ = false;
  bool at_end_ = false;
  bool closing_ = false;                          // close() was called; gone when the output is
  bool shutting_down_ = false;                    // FIN follows the output
  bool* alive_ = nullptr;                         // set to false when this object ends during an event
  std::function<void(StreamConnection&)> ended_;  // of the server: forgets this
};

class StreamServer {
 public:
  using Handler = StreamConnection::Handler;
  // Makes the handler of a new connection; what it captures is the connection's own state.
  using Factory = std::function<Handler(StreamConnection&)>;
  struct Options {
    IpAddress address = {};  // unspecified: every address, both versions
    Port port = {};
    std::uint32_t backlog = 1024;
    std::size_t max_connections = SIZE_MAX;  // beyond it they wait in the backlog
  };

  // Listens at once; `status()` tells how that went.
  StreamServer(Stack& stack, const Options& options, Handler handler);
  [[nodiscard]] static std::unique_ptr<StreamServer> with_factory(Stack& stack, const Options& options,
                                                                  Factory factory);
  ~StreamServer();
  StreamServer(const StreamServer&) = delete;
  StreamServer& operator=(const StreamServer&) = delete;

  [[nodiscard]] Result<void> status() const { return status_; }
  [[nodiscard]] std::size_t connections() const { return connections_.size(); }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  // Visits every connection; the visitor may end it.
  void each(const std::function<void(StreamConnection&)>& visit);

 private:
  struct FromFactory {};
  StreamServer(Stack& stack, const Options& options, Factory factory, FromFactory);
  void on_event(CallbackSocket& socket, Ready events);
  void accept_waiting();

  Stack* stack_;
  Options options_;
  Factory factory_;
  CallbackSocket listener_;
  Result<void> status_;
  std::unordered_map<StreamConnection*, std::unique_ptr<StreamConnection>> connections_;
  std::uint64_t accepted_ = 0;
  bool starved_ = false;  // connections wait in the backlog for a place here
};

}  // namespace leat
