#include <algorithm>
#include <array>
#include <leat/base/error_table.hpp>
#include <leat/script/calls.hpp>
#include <leat/script/names.hpp>
#include <leat/script/segment.hpp>

namespace leat::script {
namespace {

constexpr std::int64_t kInet = 2;
constexpr std::int64_t kInet6 = 10;
constexpr std::int64_t kStream = 1;
constexpr std::int64_t kDatagram = 2;
constexpr std::int64_t kNonBlocking = 2048;
constexpr std::int64_t kReadWrite = 2;
constexpr std::int64_t kPeek = 2;
constexpr std::int64_t kDontWait = 64;
constexpr std::int64_t kNoSignal = 16384;
constexpr std::int64_t kPollIn = 1;
constexpr std::int64_t kPollOut = 4;
constexpr std::int64_t kPollErr = 8;
constexpr std::int64_t kPollHup = 16;
constexpr std::int64_t kPollRdHup = 8192;

CallOutcome returns(std::int64_t value) {
  return {.would_block = false, .value = value, .error = 0, .mismatch = {}, .bad_script = {}};
}
CallOutcome fails(std::int64_t error) {
  return {.would_block = false, .value = -1, .error = error, .mismatch = {}, .bad_script = {}};
}
CallOutcome fails(Errc error) {
  return fails(std::int64_t{errno_of(error)});
}
CallOutcome blocks() {
  CallOutcome o;
  o.would_block = true;
  return o;
}

}  // namespace

// The arguments of one call, evaluated when asked for. The first thing that does not fit is remembered.
struct Calls::Arguments {
  const CallSpec& call;
  std::string error;

  [[nodiscard]] std::size_t count() const { return call.arguments.size(); }
  [[nodiscard]] const Expr& operator[](std::size_t i) const { return call.arguments[i]; }

  void fail(std::string message) {
    if (error.empty()) error = std::move(message);
  }
  std::int64_t integer(const Expr& e) {
    switch (e.kind) {
      case Expr::Kind::integer:
        return e.value;
      case Expr::Kind::word:
        if (const auto value = constant(e.name)) return *value;
        fail("the name '" + e.name + "' is not known");
        return 0;
      case Expr::Kind::either: {
        std::int64_t all = 0;
        for (const Expr& item : e.items) all |= integer(item);
        return all;
      }
      case Expr::Kind::array:
        if (e.items.size() == 1) return integer(e.items[0]);
        break;
      case Expr::Kind::call:
        if ((e.name == "htons" || e.name == "htonl") && e.items.size() == 1) return integer(e.items[0]);
        break;
      case Expr::Kind::ellipsis:
      case Expr::Kind::text:
      case Expr::Kind::structure:
        break;
    }
    fail("an argument of " + call.name + " is not a number");
    return 0;
  }
  std::int64_t integer(std::size_t i) { return integer((*this)[i]); }
};

namespace {

// `{onoff=1, linger=5}`: the item of that name, or at that place when none has a name.
const Expr* field(const Expr& structure, std::string_view name, std::size_t place) {
  for (std::size_t i = 0; i < structure.items.size(); ++i)
    if (structure.fields[i] == name) return &structure.items[i];
  if (place < structure.items.size() && structure.fields[place].empty()) return &structure.items[place];
  return nullptr;
}

// The first text anywhere in an expression: inet_addr("10.0.0.1"), inet_pton(AF_INET6, "fd00::1").
const std::string* first_text(const Expr& e) {
  if (e.kind == Expr::Kind::text) return &e.name;
  for (const Expr& item : e.items)
    if (const std::string* found = first_text(item)) return found;
  return nullptr;
}

}  // namespace

const Calls::Entry* Calls::find(std::string_view name) {
  static constexpr std::array kEntries = std::to_array<Entry>({
      {"socket", 3, 3, &Calls::socket},
      {"bind", 3, 3, &Calls::bind},
      {"listen", 2, 2, &Calls::listen},
      {"accept", 3, 3, &Calls::accept},
      {"accept4", 4, 4, &Calls::accept},
      {"connect", 3, 3, &Calls::connect},
      {"read", 3, 3, &Calls::receive},
      {"recv", 4, 4, &Calls::receive},
      {"recvfrom", 6, 6, &Calls::receive},
      {"write", 3, 3, &Calls::send},
      {"send", 4, 4, &Calls::send},
      {"sendto", 6, 6, &Calls::send},
      {"close", 1, 1, &Calls::close},
      {"shutdown", 2, 2, &Calls::shutdown},
      {"setsockopt", 5, 5, &Calls::setsockopt},
      {"getsockopt", 5, 5, &Calls::getsockopt},
      {"fcntl", 2, 3, &Calls::fcntl},
      {"poll", 3, 3, &Calls::poll},
  });
  const auto it = std::ranges::find(kEntries, name, &Entry::name);
  return it == kEntries.end() ? nullptr : &*it;
}

CallOutcome Calls::run(PendingCall& pending, Instant now) {
  Arguments in{*pending.call, {}};
  CallOutcome out;
  const Entry* const entry = find(pending.call->name);
  if (entry == nullptr) {
    out.bad_script = "call '" + pending.call->name + "' is not supported";
    return out;
  }
  if (in.count() < entry->least || in.count() > entry->most) {
    out.bad_script =
        pending.call->name + " takes " + std::to_string(entry->least) + " arguments, not " + std::to_string(in.count());
    return out;
  }
  stack_->set_now(now);
  out = (this->*entry->function)(pending, in, now);
  if (!in.error.empty()) out.bad_script = in.error;
  return out;
}

std::optional<Calls::Connected> Calls::take_connected() {
  return std::exchange(connected_, std::nullopt);
}

Endpoint Calls::address(Arguments& in, std::size_t i, Port default_port, bool remote) {
  Endpoint e{remote ? config_->remote : config_->local, default_port};
  const Expr& x = in[i];
  if (x.kind == Expr::Kind::ellipsis) return e;
  if (x.kind != Expr::Kind::structure) {
    in.fail("an address is ... or {sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr(\"10.0.0.1\")}");
    return e;
  }
  for (std::size_t k = 0; k < x.items.size(); ++k) {
    const std::string& name = x.fields[k];
    if (name.ends_with("port")) e.port = Port{static_cast<std::uint16_t>(in.integer(x.items[k]))};
    if (!name.ends_with("addr")) continue;
    if (const std::string* text = first_text(x.items[k])) {
      const auto parsed = IpAddress::parse(*text);
      if (!parsed) in.fail("'" + *text + "' is not an address");
      e.address = parsed.value_or(IpAddress{});
    } else if (x.items[k].kind != Expr::Kind::ellipsis) {
      if (in.integer(x.items[k]) != 0) in.fail("an address is a text");
      e.address = IpAddress::any(config_->version);  // INADDR_ANY as 0
    }
  }
  return e;
}

// --- the calls -------------------------------------------------------------------------------------------------------

// The descriptor that is the first argument; null when it is not open.
Descriptor* Calls::descriptor_of(Arguments& in) {
  const auto it = fds_.find(in.integer(std::size_t{0}));
  return it == fds_.end() ? nullptr : &it->second;
}

CallOutcome Calls::socket(PendingCall& pending, Arguments& in, Instant) {
  const bool any_family = in[0].kind == Expr::Kind::ellipsis;
  const std::int64_t family = any_family ? kInet : in.integer(std::size_t{0});
  const std::int64_t type = in.integer(1);
  const std::int64_t kind = type & ~kNonBlocking;
  if (family != kInet && family != kInet6) in.fail("an address family that is not supported");
  if (kind != kStream && kind != kDatagram) in.fail("a socket type that is not supported");
  const std::int64_t fd = pending.call->result.value_or(3);
  if (fd >= 0 && fds_.contains(fd)) in.fail("descriptor " + std::to_string(fd) + " is open already");
  if (!in.error.empty()) return {};
  const auto handle = kind == kStream ? stack_->open_stream() : stack_->open_udp();
  if (!handle) return fails(handle.error());
  if (fd < 0) return returns(3);  // it was expected to fail
  fds_[fd] = {.handle = *handle,
              .nonblocking = (type & kNonBlocking) != 0,
              .stream = kind == kStream,
              .read = 0,
              .written = 0,
              .connecting = false};
  return returns(fd);
}

CallOutcome Calls::bind(PendingCall&, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const Endpoint at = address(in, 1, Port{config_->bind_port}, false);
  if (!in.error.empty()) return {};
  const auto r = stack_->bind(d.handle, at);
  return r ? returns(0) : fails(r.error());
}

CallOutcome Calls::listen(PendingCall&, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const auto r = stack_->listen(d.handle, static_cast<std::uint32_t>(in.integer(1)));
  return r ? returns(0) : fails(r.error());
}

CallOutcome Calls::accept(PendingCall& pending, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const bool nonblocking = in.count() == 4 && (in.integer(3) & kNonBlocking) != 0;
  const std::int64_t fd = pending.call->result.value_or(4);
  if (fd >= 0 && fds_.contains(fd)) in.fail("descriptor " + std::to_string(fd) + " is open already");
  if (!in.error.empty()) return {};
  const auto handle = stack_->try_accept(d.handle);
  if (!handle) return fails(handle.error());
  if (!*handle) return d.nonblocking ? fails(Errc::again) : blocks();
  if (fd < 0) return returns(4);
  last_stream_ = *handle;
  fds_[fd] = {
      .handle = *handle, .nonblocking = nonblocking, .stream = true, .read = 0, .written = 0, .connecting = false};
  return returns(fd);
}

CallOutcome Calls::connect(PendingCall& pending, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const Endpoint to = address(in, 1, Port{config_->connect_port}, true);
  if (!in.error.empty()) return {};
  if (!pending.retried) {
    const auto r = stack_->connect(d.handle, to);
    if (!r) return fails(r.error());
    pending.retried = true;
    d.connecting = true;
    if (const auto local = stack_->local_endpoint(d.handle)) connected_ = Connected{*local, to, d.stream};
    if (!d.stream) return returns(0);
    last_stream_ = d.handle;
    if (d.nonblocking) return fails(Errc::in_progress);
  }
  const Ready ready = stack_->readiness(d.handle);
  if (any(ready & (Ready::error | Ready::closed))) {
    const auto error = stack_->take_error(d.handle);
    return error ? fails(*error) : fails(Errc::connection_aborted);
  }
  return any(ready & Ready::connected) ? returns(0) : blocks();
}

CallOutcome Calls::receive(PendingCall&, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const std::int64_t wanted = in.integer(2);
  const std::int64_t flags = in.count() > 3 ? in.integer(3) : 0;
  if (wanted < 0 || wanted > (1 << 28)) in.fail("a length that is not supported");
  if ((flags & ~(kPeek | kDontWait | kNoSignal)) != 0) in.fail("a flag of recv that is not supported");
  if (!in.error.empty()) return {};
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(wanted));
  const RecvFlags peek = (flags & kPeek) != 0 ? RecvFlags::peek : RecvFlags::none;
  const auto r = stack_->try_receive(d.handle, bytes, peek);
  if (!r) return fails(r.error());
  if (r->status == IoStatus::would_block && r->count == 0 && wanted > 0) {
    return d.nonblocking || (flags & kDontWait) != 0 ? fails(Errc::again) : blocks();
  }
  CallOutcome out = returns(static_cast<std::int64_t>(r->count));
  const std::uint64_t start = d.stream ? d.read : 0;
  for (std::size_t i = 0; i < r->count; ++i) {
    if (bytes[i] != stream_byte(start + i)) {
      out.mismatch = "byte " + std::to_string(start + i) + " of the stream is not what was sent";
      break;
    }
  }
  if (peek == RecvFlags::none) d.read += r->count;
  return out;
}

CallOutcome Calls::send(PendingCall& pending, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const std::int64_t wanted = in.integer(2);
  const std::int64_t flags = in.count() > 3 ? in.integer(3) : 0;
  if (wanted < 0 || wanted > (1 << 28)) in.fail("a length that is not supported");
  if ((flags & ~(kDontWait | kNoSignal)) != 0) in.fail("a flag of send that is not supported");
  std::optional<Endpoint> to;
  if (in.count() == 6) to = address(in, 4, Port{config_->connect_port}, true);
  if (!in.error.empty()) return {};
  const auto length = static_cast<std::uint64_t>(wanted);
  for (;;) {
    const std::uint64_t start = d.stream ? d.written : 0;
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(length - pending.moved));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = stream_byte(start + i);
    const auto r = to ? stack_->try_send_to(d.handle, bytes, *to) : stack_->try_send(d.handle, bytes);
    if (!r) return pending.moved > 0 ? returns(static_cast<std::int64_t>(pending.moved)) : fails(r.error());
    pending.moved += r->count;
    d.written += r->count;
    if (pending.moved == length) return returns(wanted);
    if (d.nonblocking || (flags & kDontWait) != 0) {
      return pending.moved > 0 ? returns(static_cast<std::int64_t>(pending.moved)) : fails(Errc::again);
    }
    if (r->count == 0) return blocks();
  }
}

CallOutcome Calls::close(PendingCall&, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  const auto r = stack_->close(descriptor->handle);
  fds_.erase(in.integer(std::size_t{0}));
  return r ? returns(0) : fails(r.error());
}

CallOutcome Calls::shutdown(PendingCall&, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const std::int64_t how = in.integer(1);
  if (how < 0 || how > 2) return fails(Errc::invalid_argument);
  constexpr std::array kHow{ShutdownHow::read, ShutdownHow::write, ShutdownHow::both};
  const auto r = stack_->shutdown(d.handle, kHow[static_cast<std::size_t>(how)]);
  return r ? returns(0) : fails(r.error());
}

// The option that arguments 1 and 2 name; at level SOL_LEAT these are our own names, values in our own units.
OptionName Calls::socket_option(Arguments& in) {
  if (in[2].kind == Expr::Kind::word && in[1].kind == Expr::Kind::word && in[1].name == "SOL_LEAT") {
    if (const auto id = find_option(in[2].name)) return {option_info(*id).name, *id, Scale::same};
  } else if (in[2].kind == Expr::Kind::word) {
    if (const OptionName* const known = find_socket_option(in[2].name)) return *known;
  }
  in.fail("socket option '" + in[2].name + "' is not supported");
  return {{}, OptionId::count_, Scale::same};
}

CallOutcome Calls::setsockopt(PendingCall&, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const OptionName option = socket_option(in);
  if (!in.error.empty()) return {};
  const Expr& x = in[3];
  std::int64_t value = 0;
  if (x.kind == Expr::Kind::text) {
    const auto named = congestion_value(x.name);
    if (!named) return fails(Errc::not_found);
    value = *named;
  } else if (x.kind == Expr::Kind::structure) {  // struct linger
    const Expr* const on = field(x, "onoff", 0);
    const Expr* const seconds = field(x, "linger", 1);
    if (option.id != OptionId::linger || on == nullptr || seconds == nullptr) {
      in.fail("only {onoff=N, linger=N} is supported as a structure");
      return {};
    }
    value = in.integer(*on) != 0 ? in.integer(*seconds) : -1;
  } else {
    value = scaled(option.scale, in.integer(x));
  }
  const auto r = stack_->set_option(d.handle, option.id, value);
  return r ? returns(0) : fails(r.error());
}

CallOutcome Calls::getsockopt(PendingCall&, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  CallOutcome out = returns(0);
  std::int64_t actual = 0;
  std::string shown;
  if (in[2].kind == Expr::Kind::word && in[2].name == "SO_ERROR") {
    const auto error = stack_->take_error(d.handle);
    actual = error ? errno_of(*error) : 0;
    shown = error ? errno_name(actual) : "0";
  } else {
    const OptionName option = socket_option(in);
    if (!in.error.empty()) return {};
    const auto value = std::as_const(*stack_).option(d.handle, option.id);
    if (!value) return fails(value.error());
    actual = unscaled(option.scale, *value);
    shown = std::to_string(actual);
  }
  const Expr& x = in[3];
  if (x.kind == Expr::Kind::ellipsis) return out;
  const std::int64_t expected = x.kind == Expr::Kind::text ? congestion_value(x.name).value_or(-1) : in.integer(x);
  if (actual != expected) out.mismatch = in[2].name + " is " + shown + ", expected " + std::to_string(expected);
  return out;
}

CallOutcome Calls::fcntl(PendingCall&, Arguments& in, Instant) {
  Descriptor* const descriptor = descriptor_of(in);
  if (descriptor == nullptr) return fails(Errc::bad_handle);
  Descriptor& d = *descriptor;
  const std::int64_t command = in.integer(1);
  if (command == 3) return returns(kReadWrite | (d.nonblocking ? kNonBlocking : 0));
  if (command != 4 || in.count() != 3) {
    in.fail("fcntl is supported with F_GETFL and F_SETFL");
    return {};
  }
  d.nonblocking = (in.integer(2) & kNonBlocking) != 0;
  return returns(0);
}

std::int64_t Calls::poll_events(const Descriptor& d, std::int64_t asked) {
  const Ready ready = stack_->readiness(d.handle);
  std::int64_t events = 0;
  if (any(ready & (Ready::readable | Ready::peer_fin))) events |= kPollIn;
  if (any(ready & Ready::writable)) events |= kPollOut;
  if (any(ready & Ready::peer_fin)) events |= kPollRdHup;
  return (events & asked) | (any(ready & Ready::error) ? kPollErr : 0) |
         (any(ready & (Ready::closed | Ready::hung_up)) ? kPollHup : 0);
}

CallOutcome Calls::poll(PendingCall& pending, Arguments& in, Instant now) {
  const Expr& list = in[0];
  const std::int64_t timeout_ms = in.integer(2);
  if (list.kind != Expr::Kind::array) in.fail("poll takes [{fd=4, events=POLLIN, revents=POLLIN}]");
  if (!in.error.empty()) return {};
  CallOutcome out;
  for (const Expr& x : list.items) {
    const Expr* const fd = field(x, "fd", 0);
    const Expr* const events = field(x, "events", 1);
    const Expr* const expected = field(x, "revents", 2);
    if (x.kind != Expr::Kind::structure || fd == nullptr || events == nullptr) {
      in.fail("poll takes [{fd=4, events=POLLIN, revents=POLLIN}]");
      return {};
    }
    const auto it = fds_.find(in.integer(*fd));
    if (it == fds_.end()) {
      in.fail("poll of a descriptor that is not open");
      return {};
    }
    const std::int64_t actual = poll_events(it->second, in.integer(*events));
    if (actual != 0) ++out.value;
    const std::int64_t want = expected == nullptr ? actual : in.integer(*expected);
    if (actual != want && out.mismatch.empty()) {
      out.mismatch = "revents is " + std::to_string(actual) + ", expected " + std::to_string(want);
    }
  }
  if (out.value > 0 || timeout_ms == 0) return out;
  if (!pending.retried) {
    pending.retried = true;
    pending.deadline = timeout_ms < 0 ? Instant::never() : now + Duration::ms(timeout_ms);
  }
  return now >= pending.deadline ? out : blocks();
}

}  // namespace leat::script
