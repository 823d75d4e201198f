// ping: echo requests from a Leat stack.

#include <cstdio>
#include <leat/runtime/signals.hpp>

#include "commands.hpp"
#include "node.hpp"
#include "pinger.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::uint32_t kMaxPayload = 65507;

std::string ms(Duration d) {
  return fixed(static_cast<double>(d.count_ns()) / 1e6, 3);
}
double us(Duration d) {
  return static_cast<double>(d.count_ns()) / 1e3;
}

// "0.2" are seconds, as with other pings; "200ms" is understood too.
Duration time_option(const std::string& text, std::string_view option, Duration otherwise) {
  if (text.empty()) return otherwise;
  const bool bare = text.find_first_not_of("0123456789.") == std::string::npos;
  const auto d = parse_duration(bare ? text + "s" : text);
  if (!d) throw Failure(cat(option, ": '", text, "' is not a time"), "write it as 200ms");
  return *d;
}

void print(const PingTotals& t, const IpAddress& to, bool json) {
  const double loss = t.sent == 0 ? 0 : 1 - static_cast<double>(t.received) / static_cast<double>(t.sent);
  if (json) {
    Value v;
    v.set("host", AddressText(to).view())
        .set("sent", t.sent)
        .set("received", t.received)
        .set("loss_percent", loss * 100);
    if (t.received > 0) v.set("min_us", us(t.least)).set("mean_us", us(t.mean())).set("max_us", us(t.most));
    if (!t.last_problem.empty()) v.set("problem", t.last_problem);
    std::puts(v.dump().c_str());
    return;
  }
  std::printf("%u sent, %u received, %s lost\n", t.sent, t.received, percent_text(loss).c_str());
  if (t.received > 0)
    std::printf("round trip min %s ms, mean %s ms, max %s ms\n", ms(t.least).c_str(), ms(t.mean()).c_str(),
                ms(t.most).c_str());
}

}  // namespace

int run_ping(const Arguments& a) {
  PingOptions options{
      .to = parse_address(a.host, "HOST"), .count = a.count, .payload = a.payload, .ttl = a.ttl.value_or(0)};
  if (a.payload > kMaxPayload)
    throw Failure(cat("--size: ", a.payload, " bytes don't fit a packet"), cat("take at most ", kMaxPayload));
  const IpAddress& to = options.to;
  if (to.is_unspecified() || to.is_multicast() || to.is_limited_broadcast())
    throw Failure(cat("can't ping ", to, ": it is no address of one host"), "give a unicast address");
  if (a.ttl && (*a.ttl == 0 || *a.ttl > 255)) throw Failure("--ttl is out of range", "take 1 to 255");
  options.interval = time_option(a.interval, "--interval", options.interval);
  options.wait = time_option(a.wait, "--wait", options.wait);
  Node node(make_plan(a.stack));
  node.announce();
  const StopOnSignals signals(node.runner());
  PingObserver observer;
  if (!a.json) {
    observer.reply = [](const PingReply& r) {
      std::printf("%zu bytes from %s: seq=%u ttl=%u time=%s ms\n", r.bytes, cat(r.from).c_str(), r.sequence, r.ttl,
                  ms(r.time).c_str());
      std::fflush(stdout);
    };
    observer.problem = [](const std::string& text) { std::fprintf(stderr, "leat: %s\n", text.c_str()); };
  }
  Pinger pinger(node.stack(), node.runner(), options, std::move(observer));
  if (!a.json) std::printf("PING %s: %u data bytes\n", cat(options.to).c_str(), options.payload);
  node.runner().run_until([&] { return pinger.done() || std::ferror(stdout) != 0; });  // its reader may go
  print(pinger.totals(), options.to, a.json);
  node.finish_capture();
  return pinger.totals().received > 0 ? kExitOk : kExitNegative;
}

}  // namespace leat::tools
