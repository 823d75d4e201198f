#pragma once
// Pinger: echo requests from a Leat stack at an interval, and what came of them. A ping socket sends and receives ICMP
// messages from their header on; the stack fills in identifier and checksum. Threading: the owner of the shard.

#include <functional>
#include <leat/runtime/host.hpp>
#include <map>
#include <string>

namespace leat::tools {

struct PingOptions {
  IpAddress to;
  std::uint32_t count = 4;  // 0: without end
  std::uint32_t payload = 56;
  std::uint32_t ttl = 0;  // 0: the stack's
  Duration interval = Duration::s(1);
  Duration wait = Duration::s(1);  // for the last reply
};

struct PingReply {
  IpAddress from;
  std::uint16_t sequence = 0;
  std::uint8_t ttl = 0;
  std::size_t bytes = 0;  // ICMP header included
  Duration time;
};

struct PingTotals {
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  Duration least, most, sum;
  std::string last_problem;
  [[nodiscard]] Duration mean() const { return received == 0 ? Duration{} : sum / received; }
};

struct PingObserver {
  std::function<void(const PingReply&)> reply = {};
  std::function<void(const std::string&)> problem = {};
};

class Pinger {
 public:
  // Throws Failure when there can be no ping socket. Starts at once.
  Pinger(Stack& stack, Runner& runner, const PingOptions& options, PingObserver observer = {});
  ~Pinger();
  Pinger(const Pinger&) = delete;
  Pinger& operator=(const Pinger&) = delete;

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] const PingTotals& totals() const { return totals_; }

 private:
  void send();
  void on_event(Ready events);
  void note(const std::string& text);

  Stack& stack_;
  Runner& runner_;
  PingOptions options_;
  PingObserver observer_;
  Handle handle_;
  Sink sink_;
  Runner::TimerId timer_ = 0;
  std::map<std::uint16_t, Instant> sent_at_;
  std::uint16_t next_ = 1;
  PingTotals totals_;
  bool done_ = false;
};

}  // namespace leat::tools
