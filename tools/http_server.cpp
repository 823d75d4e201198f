#include "http_server.hpp"

#include <algorithm>
#include <leat/base/error_table.hpp>

#include "failure.hpp"
#include "http_exchange.hpp"
#include "http_site.hpp"
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

HttpServer::HttpServer(Host& host, const Options& options)
    : host_(host), shared_(std::make_shared<Shared>(options.root, options.log_requests)) {
  shared_->idle = options.idle;
  const auto serve = [shared = shared_](StreamConnection& connection) -> StreamServer::Handler {
    auto exchange = std::make_shared<HttpExchange>(shared->site, shared->scratch, connection.remote(), shared->idle);
    return [shared, exchange](StreamConnection& c) {
      if (c.is_open()) exchange->run(c, c.stack().now());
    };
  };
  server_ = StreamServer::with_factory(host.stack(), {.port = Port{options.port}}, serve);
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
