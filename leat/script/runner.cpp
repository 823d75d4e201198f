#include <deque>
#include <leat/offload/checksum_completion.hpp>
#include <leat/script/assertion.hpp>
#include <leat/script/calls.hpp>
#include <leat/script/names.hpp>
#include <leat/script/runner.hpp>
#include <leat/script/segment.hpp>
#include <leat/script/tcp_fields.hpp>
#include <list>
#include <memory>

namespace leat::script {
namespace {

constexpr Limits kLimits{};
constexpr PoolLayout kLayout{.packets = 4096, .chunks = {4096, 4096, 0}, .reserve = 64};
constexpr Instant kStart = Instant::from_ns(1'000'000'000'000);  // not zero: nothing may count from there
constexpr Entropy kEntropy{{0x6c656174'0001, 0x6c656174'0002, 0x6c656174'0003, 0x6c656174'0004}};
constexpr std::uint16_t kRemotePort = 53421;       // of connections from the other side, when nothing is said
constexpr unsigned kMaxRounds = 100'000;           // of timers or output, without the script going on
constexpr Duration kPatience = Duration::s(7200);  // how long `*` waits

class Runner {
 public:
  Runner(const Script& script, const RunOptions& options)
      : script_(script),
        config_(script.config),
        options_(options),
        region_(PacketPool::bytes_needed(kLayout)),
        pool_(region_, kLayout),
        storage_(std::make_unique<StackStorage<kLimits>>()),
        stack_(storage_->view(pool_), *options.modules, kEntropy, kStart),
        calls_(stack_, config_) {}

  RunReport run() {
    configure();
    for (const Event& e : script_.events) {
      if (report_.failure) break;
      event_ = &e;
      play(e);
      if (!report_.failure) ++report_.events;
    }
    finish_blocked();
    if (options_.complete && !sent_.empty()) {
      const Decoded d = decode(sent_.front().bytes);
      fail("the script ends, and the stack has sent more\n  actual    " + describe(sent_.front(), d, find_flow(d)));
    }
    return report_;
  }

 private:
  struct Blocked {
    PendingCall pending;
    Instant end;
  };

  void fail(std::string message) {
    if (!report_.failure) report_.failure = Diagnostic{event_ == nullptr ? Position{} : event_->at, std::move(message)};
  }
  [[nodiscard]] Duration elapsed(Instant at) const { return at - kStart; }
  void trace(const std::string& line) const {
    if (options_.trace) options_.trace(line);
  }

  void configure() {
    const auto interface =
        stack_.add_interface({.name = "script0", .link = LinkType::ip, .mac = {}, .mtu = config_.mtu});
    if (!interface) return fail("the stack takes no interface of MTU " + std::to_string(config_.mtu));
    interface_ = *interface;
    const bool configured =
        stack_.add_address(interface_, {config_.local, config_.prefix_length}) &&
        stack_.add_route({.destination = {IpAddress::any(config_.version), 0}, .gateway = {}, .interface = interface_});
    if (!configured) fail("the stack takes no address and default route");
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  // Moves time to `to`, stopping at every deadline on the way. False when a timer does not move on.
  bool advance(Instant to) {
    for (unsigned round = 0; round < kMaxRounds; ++round) {
      const Instant due = next_due();
      if (due > to) {
        now_ = std::max(now_, to);
        pump();
        return !report_.failure;
      }
      step(due);
      if (report_.failure) return false;
    }
    fail("the stack's next deadline stays at " + time_text(elapsed(now_)) + ": its timers do not make progress");
    return false;
  }

  // The next time that something happens by itself: a timer, or a poll that has waited enough.
  [[nodiscard]] Instant next_due() const {
    Instant due = stack_.next_deadline();
    for (const Blocked& b : blocked_) due = earlier(due, b.pending.deadline);
    return due;
  }

  void step(Instant due) {
    now_ = std::max(now_, due);
    stack_.run_timers(now_);
    pump();
  }

  // Takes everything that the stack wants to send now; blocked calls may make it send more.
  void pump() {
    for (unsigned round = 0; round < kMaxRounds; ++round) {
      stack_.set_now(now_);
      bool more = stack_.run_loopback(now_);
      ReadyEvent event;
      while (stack_.next_ready(event)) {
      }
      PacketBatch batch;
      stack_.output(interface_, batch, now_);
      more = more || !batch.empty() || stack_.has_output(interface_);
      for (Packet& p : batch) take(std::move(p));
      batch.clear();
      if (!more && !retry_blocked()) {
        stack_.check_invariants();
        return;
      }
    }
    fail("the stack does not stop sending");
  }

  void take(Packet&& packet) {
    if (!complete_checksum(packet, LinkType::ip)) fail("the stack sent a packet whose checksum can't be completed");
    LivePacket live{elapsed(now_), std::vector<std::uint8_t>(packet.size())};
    packet.copy_out(0, live.bytes);
    const Decoded d = decode(live.bytes);
    // Multicast listener reports and neighbour discovery are not what scripts are about.
    if (d.protocol == 58 && !d.transport.empty() && d.transport[0] >= 130) return;
    if (options_.trace) trace("    " + describe(live, d, find_flow(d)));
    ++report_.packets_out;
    sent_.push_back(std::move(live));
  }

  // --- events --------------------------------------------------------------------------------------------------------

  void play(const Event& e) {
    Instant first = now_;
    Instant last = now_;
    if (e.time.kind == EventTime::Kind::relative) {
      first = base_ + e.time.first;
      last = base_ + e.time.last;
    } else if (e.time.kind == EventTime::Kind::absolute) {
      first = kStart + e.time.first;
      last = kStart + e.time.last;
    }
    if (const auto* packet = std::get_if<PacketSpec>(&e.action); packet != nullptr) {
      if (packet->direction == Direction::outbound) return expect(e, *packet, first, last);
    }
    if (first + config_.tolerance < now_) {
      return fail("this event is due at " + time_text(elapsed(first)) + ", but it is " + time_text(elapsed(now_)));
    }
    if (!advance(first)) return;
    if (const auto* packet = std::get_if<PacketSpec>(&e.action)) {
      inject(e, *packet);
    } else if (const auto* call = std::get_if<CallSpec>(&e.action)) {
      start_call(e, *call);
    } else if (const auto* setting = std::get_if<SettingSpec>(&e.action)) {
      for (const auto& [id, value] : setting->values)
        if (!stack_.set_option(id, value)) fail("the stack refuses option " + std::string{option_info(id).name});
    } else {
      check(std::get<CodeSpec>(e.action));
    }
    base_ = now_;
  }

  void inject(const Event& e, const PacketSpec& spec) {
    Flow& flow = flow_of(spec);
    const std::vector<std::uint8_t> bytes = build(spec, flow);
    Packet packet = pool_.allocate_for(static_cast<std::uint32_t>(bytes.size()));
    if (!packet) return fail("no packet of " + std::to_string(bytes.size()) + " bytes can be had");
    std::ranges::copy(bytes, packet.append(static_cast<std::uint32_t>(bytes.size())).begin());
    packet.meta().time = now_;
    trace(time_text(elapsed(now_)) + " " + e.text);
    ++report_.packets_in;
    PacketBatch batch;
    batch.push(std::move(packet));
    stack_.input(interface_, batch, now_);
    pump();
  }

  // Waits for the next segment and compares it.
  void expect(const Event& e, const PacketSpec& spec, Instant first, Instant last) {
    const bool any = e.time.kind == EventTime::Kind::any;
    const Instant limit = any ? now_ + kPatience : last + config_.tolerance;
    for (unsigned round = 0; sent_.empty() && !report_.failure; ++round) {
      const Instant due = next_due();
      if (due > limit) {
        return fail(
            "no segment came" + std::string{any ? "" : " by " + time_text(elapsed(limit))} + "\n  expected  " + e.text +
            (due.is_never() ? "\n  no timer is armed" : "\n  the next timer is due at " + time_text(elapsed(due))));
      }
      if (round == kMaxRounds) return fail("the stack's timers do not make progress");
      step(due);
    }
    if (report_.failure) return;
    const LivePacket live = std::move(sent_.front());
    sent_.pop_front();
    const Decoded d = decode(live.bytes);
    Flow* const flow = outbound_flow(spec, d);
    std::string wrong = flow == nullptr ? "it belongs to another connection" : compare(spec, live, d, *flow, config_);
    if (wrong.empty() && !any) {
      const Instant at = kStart + live.time;
      if (at + config_.tolerance < first || at > last + config_.tolerance) {
        wrong = "the time is " + time_text(live.time) + ", expected " + time_text(elapsed(first)) +
                (first == last ? "" : " to " + time_text(elapsed(last)));
      }
    }
    if (!wrong.empty()) {
      return fail(wrong + "\n  expected  " + (any ? "*" : time_text(elapsed(first))) + " " + e.text + "\n  actual    " +
                  describe(live, d, flow));
    }
    base_ = kStart + live.time;
  }

  void check(const CodeSpec& code) {
    const FieldSource fields = [this](std::string_view name) -> std::optional<std::int64_t> {
      if (const auto value = constant(name)) return value;
      return tcp_field(stack_, calls_.last_stream(), name);
    };
    for (const AssertSpec& a : code.asserts) {
      const Evaluation e = evaluate(a, fields);
      if (e.error.empty() && e.value != 0) continue;
      report_.failure = Diagnostic{a.at, e.error.empty() ? "assert " + a.text + " fails: " + e.details : e.error};
      return;
    }
  }

  // --- calls ---------------------------------------------------------------------------------------------------------

  void start_call(const Event& e, const CallSpec& call) {
    PendingCall pending{.event = &e, .call = &call, .retried = false, .moved = 0, .deadline = Instant::never()};
    const CallOutcome outcome = calls_.run(pending, now_);
    trace(time_text(elapsed(now_)) + " " + e.text);
    if (const auto connected = calls_.take_connected()) {
      Flow flow;
      // The port is the stack's choice; a packet on this link has the script's address, whatever the stack says.
      flow.local = {config_.local, connected->local.port};
      flow.remote = connected->remote;
      flow.protocol = connected->stream ? 6 : 17;
      if (Flow* known = find_flow(flow.local.port, flow.remote.port, flow.remote.address); known != nullptr) {
        known->over = true;
        current_ = known;
      } else {
        current_ = &flows_.emplace_back(flow);
      }
    }
    if (outcome.would_block && outcome.bad_script.empty()) {
      if (!call.end) {
        return fail(call.name + " would block: give it an end time (0.1...0.2), or the socket O_NONBLOCK");
      }
      const Instant end = (e.time.kind == EventTime::Kind::relative ? base_ : kStart) + *call.end;
      blocked_.push_back({pending, end});
    } else {
      judge(e, call, outcome);
      if (call.end && !report_.failure) {
        const Instant end = (e.time.kind == EventTime::Kind::relative ? base_ : kStart) + *call.end;
        if (end > now_ + config_.tolerance) {
          fail(call.name + " returns at once, expected at " + time_text(elapsed(end)));
        }
      }
    }
    pump();
  }

  // True when a blocked call went on.
  bool retry_blocked() {
    bool progress = false;
    for (auto it = blocked_.begin(); it != blocked_.end() && !report_.failure;) {
      const std::uint64_t moved = it->pending.moved;
      const CallOutcome outcome = calls_.run(it->pending, now_);
      if (outcome.would_block && outcome.bad_script.empty()) {
        progress = progress || it->pending.moved != moved;
        if (now_ > it->end + config_.tolerance) {
          blame(*it, it->pending.call->name + " still blocks, expected its end at " + time_text(elapsed(it->end)));
        }
        ++it;
        continue;
      }
      const Event* const waiting = event_;
      event_ = it->pending.event;
      judge(*event_, *it->pending.call, outcome);
      if (now_ + config_.tolerance < it->end || now_ > it->end + config_.tolerance) {
        fail(it->pending.call->name + " returns at " + time_text(elapsed(now_)) + ", expected at " +
             time_text(elapsed(it->end)));
      }
      event_ = waiting;
      it = blocked_.erase(it);
      progress = true;
    }
    return progress;
  }

  void blame(const Blocked& b, std::string message) {
    if (!report_.failure) report_.failure = Diagnostic{b.pending.event->at, std::move(message)};
  }

  void finish_blocked() {
    while (!blocked_.empty() && !report_.failure) {
      event_ = blocked_.front().pending.event;
      const Instant end = blocked_.front().end + config_.tolerance;
      const std::size_t before = blocked_.size();
      if (!advance(end)) return;
      if (blocked_.size() == before) blame(blocked_.front(), blocked_.front().pending.call->name + " does not return");
    }
  }

  void judge(const Event& e, const CallSpec& call, const CallOutcome& outcome) {
    if (!outcome.bad_script.empty()) return fail(outcome.bad_script);
    const auto text = [](std::int64_t value, const std::string& error) {
      return std::to_string(value) + (error.empty() ? "" : " " + error);
    };
    const std::string actual = text(outcome.value, outcome.value == -1 ? errno_name(outcome.error) : "");
    const bool same = !call.result || (*call.result == outcome.value &&
                                       (call.error.empty() ? true : constant(call.error) == outcome.error));
    if (!same) {
      return fail(call.name + " returns " + actual + ", expected " + text(*call.result, call.error) + "\n  call      " +
                  time_text(elapsed(now_)) + " " + e.text);
    }
    if (!outcome.mismatch.empty()) fail(call.name + ": " + outcome.mismatch);
  }

  // --- flows ---------------------------------------------------------------------------------------------------------

  // The newest connection with these ports, and with this host when one is named.
  Flow* find_flow(Port local, Port remote, const std::optional<IpAddress>& host) {
    for (auto f = flows_.rbegin(); f != flows_.rend(); ++f)
      if (f->local.port == local && f->remote.port == remote && (!host || f->remote.address == *host)) return &*f;
    return nullptr;
  }
  // With a wrong address it is still the connection with these ports, so that the message can name the address.
  Flow* find_flow(const Decoded& d) {
    if (d.protocol != 6 && d.protocol != 17) return nullptr;
    Flow* const exact = find_flow(d.source_port, d.destination_port, d.destination);
    return exact != nullptr ? exact : find_flow(d.source_port, d.destination_port, std::nullopt);
  }

  Flow& make_flow(Port local, const Endpoint& remote, std::uint8_t protocol) {
    Flow f;
    f.local = {config_.local, local};
    f.remote = remote;
    f.protocol = protocol;
    current_ = &flows_.emplace_back(std::move(f));
    return *current_;
  }

  // An inbound packet without ports belongs to the newest connection; the first one is made for it.
  Flow& flow_of(const PacketSpec& spec) {
    const std::uint8_t protocol = std::holds_alternative<UdpSpec>(spec.body) ? 17 : 6;
    const IpAddress remote = spec.ip.source.value_or(config_.remote);
    if (spec.ports) {
      const Port local{spec.ports->destination};
      const Port from{spec.ports->source};
      if (Flow* known = find_flow(local, from, spec.ip.source); known != nullptr) return *known;
      return make_flow(local, {remote, from}, protocol);
    }
    if (current_ != nullptr) return *current_;
    return make_flow(Port{config_.bind_port}, {remote, Port{kRemotePort}}, protocol);
  }

  // The connection that a segment from the stack must belong to; null when it belongs to another one.
  Flow* outbound_flow(const PacketSpec& spec, const Decoded& d) {
    const IpAddress remote = spec.ip.destination.value_or(config_.remote);
    if (d.protocol != 6 && d.protocol != 17) {
      if (current_ == nullptr) make_flow(Port{config_.bind_port}, {remote, Port{kRemotePort}}, 17);
      return current_;
    }
    Flow* const known = find_flow(d);
    if (spec.ports) {
      if (d.source_port.value() != spec.ports->source || d.destination_port.value() != spec.ports->destination) {
        return nullptr;
      }
      return known != nullptr ? known : &make_flow(d.source_port, {remote, d.destination_port}, d.protocol);
    }
    if (known == nullptr) return &make_flow(d.source_port, {remote, d.destination_port}, d.protocol);
    return known == current_ ? known : nullptr;
  }

  const Script& script_;
  const Config& config_;
  const RunOptions& options_;
  RunReport report_;
  const Event* event_ = nullptr;

  std::vector<std::uint8_t> region_;
  PacketPool pool_;
  std::unique_ptr<StackStorage<kLimits>> storage_;
  Stack stack_;
  Calls calls_;
  InterfaceId interface_ = kNoInterface;

  Instant now_ = kStart;
  Instant base_ = kStart;  // what relative times count from: the event before
  std::deque<LivePacket> sent_;
  std::list<Flow> flows_;
  Flow* current_ = nullptr;
  std::list<Blocked> blocked_;
};

}  // namespace

RunReport run(const Script& script, const RunOptions& options) {
  LEAT_ASSERT(options.modules != nullptr);
  return Runner{script, options}.run();
}

}  // namespace leat::script
