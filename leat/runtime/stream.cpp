#include <leat/runtime/stream.hpp>

namespace leat {

namespace {
// Output that has left is cut off the vector when it is at least this much.
constexpr std::size_t kCompactAt = 65536;
}  // namespace

Result<std::unique_ptr<StreamConnection>> StreamConnection::connect(Stack& stack, const Endpoint& remote,
                                                                    Handler handler, const Endpoint& local) {
  std::unique_ptr<StreamConnection> c(new StreamConnection(stack, std::move(handler)));
  c->remote_ = remote;
  const auto on_event = CallbackSocket::Handler::to<&StreamConnection::on_event>(*c);
  if (local == Endpoint{}) {
    if (auto r = c->socket_.connect(stack, remote, on_event); !r) return fail(r.error());
    return c;
  }
  if (auto r = c->socket_.open_stream(stack, on_event); !r) return fail(r.error());
  if (auto r = stack.bind(c->socket_.handle(), local); !r) return fail(r.error());
  if (auto r = stack.connect(c->socket_.handle(), remote); !r) return fail(r.error());
  return c;
}

IoCount StreamConnection::read(MutableByteSpan to) {
  Result<IoCount> got = IoCount{0, IoStatus::end_of_stream};
  if (socket_.is_open()) got = socket_.read(to);
  if (!got) got = IoCount{0, IoStatus::end_of_stream};  // an error event tells more
  if (got->count > 0) last_progress_ = stack_->now();
  at_end_ = got->status == IoStatus::end_of_stream;
  return *got;
}

void StreamConnection::write(ByteSpan bytes) {
  if (!is_open() || shutting_down_) return;
  const std::size_t sent = try_write(bytes);
  output_.insert(output_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(sent), bytes.end());
}

std::size_t StreamConnection::try_write(ByteSpan bytes) {
  if (!is_open() || pending() > 0) return 0;
  const auto sent = socket_.write(bytes);
  if (!sent) return 0;  // an error event tells
  if (sent->count > 0) last_progress_ = stack_->now();
  return sent->count;
}

void StreamConnection::flush() {
  while (pending() > 0 && socket_.is_open()) {
    const auto sent = socket_.write(ByteSpan{output_}.subspan(output_at_));
    if (!sent || sent->count == 0) break;
    last_progress_ = stack_->now();
    output_at_ += sent->count;
  }
  if (pending() == 0) {
    output_.clear();
    output_at_ = 0;
    if (shutting_down_ && !closing_ && socket_.is_open()) (void)socket_.shutdown(ShutdownHow::write);
  } else if (output_at_ >= kCompactAt) {
    output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(output_at_));
    output_at_ = 0;
  }
}

void StreamConnection::shutdown_write() {
  if (!is_open() || shutting_down_) return;
  shutting_down_ = true;
  if (pending() == 0) (void)socket_.shutdown(ShutdownHow::write);
}

void StreamConnection::close() {
  if (!is_open()) return;
  closing_ = true;
  if (pending() == 0) {
    socket_.close();
    if (!in_handler_) finish();
  }
}

void StreamConnection::abort() {
  if (!socket_.is_open()) return;
  closing_ = true;
  socket_.abort();
  if (!in_handler_) finish();
}

void StreamConnection::finish() {
  if (ended_) {
    const auto ended = std::move(ended_);
    ended(*this);  // this is gone now
  }
}

void StreamConnection::on_event(CallbackSocket&, Ready events) {
  bool alive = true;
  alive_ = &alive;
  if (any(events & Ready::error)) {
    error_ = stack_->take_error(socket_.handle()).value_or(Errc::connection_reset);
    socket_.close();
  } else {
    flush();
  }
  if (!closing_) {
    in_handler_ = true;
    Handler handler = std::move(handler_);  // lives through its own call, whatever that ends
    handler(*this);
    if (!alive) return;
    handler_ = std::move(handler);
    in_handler_ = false;
  }
  // Both directions are over, and whoever wanted to read has done so.
  if (any(events & Ready::closed)) socket_.close();
  if (closing_ && pending() == 0) socket_.close();
  alive_ = nullptr;
  if (!socket_.is_open()) finish();
}

StreamServer::StreamServer(Stack& stack, const Options& options, Handler handler)
    : StreamServer(
          stack, options, [h = std::move(handler)](StreamConnection&) { return h; }, FromFactory{}) {}

std::unique_ptr<StreamServer> StreamServer::with_factory(Stack& stack, const Options& options, Factory factory) {
  return std::unique_ptr<StreamServer>(new StreamServer(stack, options, std::move(factory), FromFactory{}));
}

StreamServer::StreamServer(Stack& stack, const Options& options, Factory factory, FromFactory)
    : stack_(&stack), options_(options), factory_(std::move(factory)) {
  status_ = listener_.listen(stack, {options.address, options.port}, options.backlog,
                             CallbackSocket::Handler::to<&StreamServer::on_event>(*this));
}

StreamServer::~StreamServer() {
  for (auto& [key, connection] : connections_) connection->ended_ = nullptr;
}

void StreamServer::on_event(CallbackSocket&, Ready events) {
  if (any(events & Ready::readable)) accept_waiting();
}

void StreamServer::accept_waiting() {
  starved_ = false;
  for (;;) {  // at most a backlog of them
    if (connections_.size() >= options_.max_connections) {
      starved_ = true;
      return;
    }
    std::unique_ptr<StreamConnection> c(new StreamConnection(*stack_, nullptr));
    const auto taken =
        c->socket_.accept(listener_, CallbackSocket::Handler::to<&StreamConnection::on_event>(*c), &c->remote_);
    starved_ = !taken.has_value();  // no socket for it: it waits in the backlog
    if (!taken || !*taken) return;
    ++accepted_;
    c->handler_ = factory_(*c);
    c->ended_ = [this](StreamConnection& ended) {
      connections_.erase(&ended);
      if (starved_) accept_waiting();
    };
    StreamConnection* key = c.get();
    connections_.emplace(key, std::move(c));
  }
}

void StreamServer::each(const std::function<void(StreamConnection&)>& visit) {
  std::vector<StreamConnection*> all;
  all.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) all.push_back(key);
  for (StreamConnection* c : all)
    if (connections_.contains(c)) visit(*c);
}

}  // namespace leat
