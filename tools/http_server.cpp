#include "http_server.hpp"

#include <algorithm>
#include <leat/base/error_table.hpp>

#include "failure.hpp"
#include "http_site.hpp"
#include "http_talk.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::size_t kScratch = std::size_t{256} << 10;
constexpr Duration kLinger = Duration::s(5);  // how long a refused client may go on sending

}  // namespace

struct HttpServer::Shared {
  Shared(const std::string& root, bool log) : site(root, log) {}
  HttpSite site;
  Duration idle;
  std::vector<std::uint8_t> scratch = std::vector<std::uint8_t>(kScratch);
};

// One connection: requests one after the other, each answered before the next is looked at.
class HttpServer::Exchange {
 public:
  Exchange(std::shared_ptr<Shared> shared, const Endpoint& from)
      : shared_(std::move(shared)), talk_(shared_->site, from, shared_->idle) {}

  void run(StreamConnection& c) {
    if (!c.is_open()) return;
    for (;;) {
      if (!send(c)) return;  // the rest waits until the client takes more
      if (answer_.close) {
        drain(c);
        return;
      }
      if (!receive(c)) return;
    }
  }

 private:
  // Sends what is under way. False when the connection takes no more for now.
  bool send(StreamConnection& c) {
    if (c.pending() > 0) return false;
    while (answer_.left > 0) {
      const std::size_t got = shared_->site.read(answer_, shared_->scratch);
      if (got == 0) {
        c.abort();
        return false;
      }
      const std::size_t sent = c.try_write({shared_->scratch.data(), got});
      shared_->site.sent(answer_, sent);
      if (sent < got) return false;
    }
    answer_.file = Descriptor{};
    return true;
  }

  // Reads until there is a request, and answers it. False when there is nothing more for now, or ever.
  bool receive(StreamConnection& c) {
    for (;;) {
      if (auto answer = talk_.next()) {
        answer_ = std::move(*answer);
        c.write(answer_.bytes());
        return true;
      }
      const IoCount got = c.read({shared_->scratch.data(), HttpRequestReader::kMaxHead});
      if (got.count > 0) {
        talk_.received({shared_->scratch.data(), got.count}, c.stack().now());
      } else {
        if (got.status == IoStatus::end_of_stream) c.close();
        return false;
      }
    }
  }

  // RFC 9112 9.6: after the last answer, our FIN; then the client's bytes are read and dropped until its own, so that
  // no RST takes the answer from it.
  void drain(StreamConnection& c) {
    c.shutdown_write();
    for (;;) {
      const IoCount got = c.read({shared_->scratch.data(), kScratch});
      if (got.status == IoStatus::end_of_stream) {
        c.close();
        return;
      }
      if (got.count == 0) return;
    }
  }

  std::shared_ptr<Shared> shared_;
  HttpTalk talk_;
  HttpAnswer answer_;
};

HttpServer::HttpServer(Host& host, const Options& options)
    : host_(host), shared_(std::make_shared<Shared>(options.root, options.log_requests)) {
  shared_->idle = options.idle;
  server_ = StreamServer::with_factory(host.stack(), {.port = Port{options.port}},
                                       [shared = shared_](StreamConnection& connection) -> StreamServer::Handler {
                                         auto exchange = std::make_shared<Exchange>(shared, connection.remote());
                                         return [exchange](StreamConnection& c) { exchange->run(c); };
                                       });
  if (const auto status = server_->status(); !status) {
    if (status.error() == Errc::address_in_use)
      throw Failure(cat("port ", options.port, " is already in use on this stack"), "choose another with --port");
    throw Failure(cat("can't listen on port ", options.port, ": ", error_info(status.error()).sentence), "");
  }
  expire();
}

HttpServer::~HttpServer() {
  host_.runner().cancel(timer_);
}

// Ends connections on which nothing moved for long. The timer sleeps as long as an idle connection may last, so that
// an idle server costs a wake-up a minute.
void HttpServer::expire() {
  const Instant now = host_.stack().now();
  server_->each([&](StreamConnection& c) {
    if (now - c.last_progress() > shared_->idle) c.abort();
  });
  timer_ = host_.runner().after(std::max(shared_->idle / 2, kLinger), [this] { expire(); });
}

std::uint64_t HttpServer::requests() const {
  return shared_->site.requests();
}
std::uint64_t HttpServer::bytes_sent() const {
  return shared_->site.body_bytes();
}

}  // namespace leat::tools
