#include <algorithm>
#include <leat/script/assertion.hpp>
#include <leat/script/cursor.hpp>
#include <leat/script/names.hpp>
#include <leat/script/parser.hpp>

namespace leat::script {
namespace {

std::string quoted(std::string_view text) {
  return "'" + std::string{text} + "'";
}

std::optional<std::int64_t> integer(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 18) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return negative ? -value : value;
}

class Parser {
 public:
  Parser(std::string_view name, std::string_view text) : in_(text) { out_.name = name; }

  ParseResult run() {
    options();
    while (in_.skip(), !in_.failed() && in_.peek() == '`') {
      const Position at = in_.position();
      const std::size_t from = in_.offset();
      EventTime now{EventTime::Kind::relative, {}, {}};
      SettingSpec setting = command();
      add(at, from, now, std::move(setting));
    }
    while (in_.skip(), !in_.at_end()) event();
    if (out_.events.empty() && !in_.failed()) in_.fail("the script is empty");
    return {std::move(out_), in_.error()};
  }

 private:
  void add(Position at, std::size_t from, const EventTime& time, decltype(Event::action) action) {
    if (in_.failed()) return;
    std::string text;
    for (const char c : in_.text(from, in_.offset())) {
      if (!is_blank(c)) {
        text += c;
      } else if (!text.empty() && text.back() != ' ') {
        text += ' ';
      }
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    out_.events.push_back({at, std::move(text), time, std::move(action)});
  }

  // --- options -------------------------------------------------------------------------------------------------------

  void options() {
    Config& c = out_.config;
    while (in_.accept("--")) {
      const Position at = in_.position();
      const std::string text = in_.token();
      const auto equals = text.find('=');
      const std::string name = text.substr(0, equals);
      const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
      if (!option(c, name, value)) {
        return in_.fail_at(at, "option --" + name + " with value " + quoted(value) + " is not supported");
      }
    }
    if (c.local.is_unspecified()) {
      c.local = c.version == IpVersion::v4 ? IpAddress::v4(192, 168, 0, 1)
                                           : IpAddress::v6({0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1});
    }
    if (c.remote.is_unspecified()) {
      c.remote =
          c.version == IpVersion::v4 ? IpAddress::v4(192, 0, 2, 1) : IpAddress::v6({0x2001, 0x0db8, 0, 0, 0, 0, 0, 1});
    }
    if (c.prefix_length == 0) c.prefix_length = c.version == IpVersion::v4 ? 16 : 64;
    if ((c.local.is_v4() != (c.version == IpVersion::v4)) || c.remote.is_v4() != c.local.is_v4()) {
      in_.fail("--local_ip and --remote_ip must be of the version that --ip_version says");
    }
  }

  static bool option(Config& c, const std::string& name, const std::string& value) {
    const auto number = integer(value);
    const auto in_range = [&](std::int64_t low, std::int64_t high) {
      return number && *number >= low && *number <= high;
    };
    if (name == "tolerance_usecs" && in_range(0, 1'000'000'000)) {
      c.tolerance = Duration::us(*number);
    } else if (name == "tcp_ts_tick_usecs" && in_range(0, 1'000'000'000)) {
      c.timestamp_tick = Duration::us(*number);
    } else if (name == "mtu" && in_range(68, 65535)) {
      c.mtu = static_cast<std::uint32_t>(*number);
    } else if (name == "bind_port" && in_range(1, 65535)) {
      c.bind_port = static_cast<std::uint16_t>(*number);
    } else if (name == "connect_port" && in_range(1, 65535)) {
      c.connect_port = static_cast<std::uint16_t>(*number);
    } else if (name == "ip_version") {
      if (value == "ipv6") {
        c.version = IpVersion::v6;
      } else if (value != "ipv4" && value != "ipv4-mapped-ipv6") {  // addresses are mapped anyway
        return false;
      }
    } else if (name == "local_ip" || name == "remote_ip") {
      const auto prefix = IpPrefix::parse(value);
      if (!prefix) return false;
      (name == "local_ip" ? c.local : c.remote) = prefix->address;
      if (name == "local_ip" && value.find('/') != std::string::npos) c.prefix_length = prefix->length;
    } else {
      return false;
    }
    return true;
  }

  // --- events --------------------------------------------------------------------------------------------------------

  void event() {
    const Position at = in_.position();
    EventTime time = event_time();
    std::optional<Duration> end;
    if (in_.accept("...")) {
      static_cast<void>(in_.accept("+"));
      end = in_.seconds();
    }
    in_.skip();
    if (in_.failed()) return;
    const std::size_t from = in_.offset();
    const char c = in_.peek();
    if (end && !is_letter(c)) return in_.fail("only a call has an end time (0.1...0.2)");
    if (c == '<' || c == '>') {
      PacketSpec spec = packet();
      add(at, from, time, std::move(spec));
    } else if (c == '`') {
      SettingSpec setting = command();
      add(at, from, time, std::move(setting));
    } else if (c == '%') {
      CodeSpec spec = code();
      add(at, from, time, std::move(spec));
    } else if (is_letter(c)) {
      CallSpec spec = call();
      spec.end = end;
      if (end && time.kind == EventTime::Kind::any) in_.fail_at(at, "a call with an end time needs a start time");
      add(at, from, time, std::move(spec));
    } else {
      in_.fail("expected a packet (< or >), a call, a `command` or %{ code }%");
    }
  }

  EventTime event_time() {
    EventTime t{EventTime::Kind::absolute, {}, {}};
    if (in_.accept("*")) {
      t.kind = EventTime::Kind::any;
      return t;
    }
    if (in_.accept("+")) t.kind = EventTime::Kind::relative;
    t.first = t.last = in_.seconds();
    if (in_.accept("~")) {
      const bool relative = in_.accept("+");
      if (relative != (t.kind == EventTime::Kind::relative)) {
        in_.fail("both ends of a time range are relative (+), or neither is");
      }
      t.last = in_.seconds();
      if (t.last < t.first) in_.fail("a time range that ends before it begins");
    }
    return t;
  }

  // --- packets -------------------------------------------------------------------------------------------------------

  PacketSpec packet() {
    PacketSpec p;
    p.direction = in_.take() == '<' ? Direction::inbound : Direction::outbound;
    std::optional<IcmpSpec> quote;
    in_.skip();
    while (in_.peek() == '[' && !in_.failed()) {
      in_.take();
      in_.skip();
      if (is_digit(in_.peek()) || in_.peek_word() == "udp") {
        quote = icmp_quote();
      } else {
        ip_info(p);
      }
      in_.skip();
    }
    if (is_digit(in_.peek())) {
      PortSpec ports;
      ports.source = static_cast<std::uint16_t>(in_.number("a source port", 65535));
      in_.expect(">", "between two ports");
      ports.destination = static_cast<std::uint16_t>(in_.number("a destination port", 65535));
      in_.expect(":", "behind the ports");
      p.ports = ports;
    }
    const Position at = (in_.skip(), in_.position());
    const std::string word = in_.peek_word();
    if (word == "icmp") {
      static_cast<void>(in_.word());
      p.body = icmp(quote);
      return p;
    }
    if (quote) in_.fail_at(at, "a quoted segment ([1:101(100)]) belongs to an icmp packet");
    if (word == "udp") {
      static_cast<void>(in_.word());
      in_.expect("(", "before the length of a datagram");
      p.body = UdpSpec{static_cast<std::uint32_t>(in_.number("a length", 65507))};
      in_.expect(")", "behind the length of a datagram");
    } else if (word.size() > 2 && std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) {
      in_.fail_at(at, "packets of kind " + quoted(word) + " are not supported");
    } else {
      p.body = tcp(p.direction);
    }
    return p;
  }

  void ip_info(PacketSpec& p) {
    do {
      const Position at = (in_.skip(), in_.position());
      const std::string word = in_.word();
      if (word == "noecn") {
        p.ip.ecn = EcnSpec::not_ect;
      } else if (word == "ect0") {
        p.ip.ecn = EcnSpec::ect0;
      } else if (word == "ect1") {
        p.ip.ecn = EcnSpec::ect1;
      } else if (word == "ect01") {
        p.ip.ecn = EcnSpec::ect01;
        if (p.direction == Direction::inbound) in_.fail_at(at, "ect01 means either mark: only for outbound packets");
      } else if (word == "ce") {
        p.ip.ecn = EcnSpec::ce;
      } else if (word == "tos") {
        p.ip.tos = static_cast<std::uint8_t>(in_.number("a traffic class", 255));
      } else if (word == "ttl") {
        p.ip.ttl = static_cast<std::uint8_t>(in_.number("a TTL", 255));
      } else if (word == "src") {
        p.ip.source = address();
      } else if (word == "dst") {
        p.ip.destination = address();
      } else {
        in_.fail_at(at, "IP information " + quoted(word) + " is not supported");
      }
    } while (in_.accept(","));
    in_.expect("]", "behind IP information");
  }

  IpAddress address() {
    const Position at = (in_.skip(), in_.position());
    std::string text;
    while (hex_digit(in_.peek()) >= 0 || in_.peek() == '.' || in_.peek() == ':') text += in_.take();
    const auto parsed = IpAddress::parse(text);
    if (!parsed || parsed->version() != out_.config.version) {
      in_.fail_at(at, quoted(text) + " is not an address of the script's IP version");
      return out_.config.local;
    }
    return *parsed;
  }

  SequenceRange sequence() {
    SequenceRange s;
    const Position at = (in_.skip(), in_.position());
    s.start = static_cast<std::uint32_t>(in_.number("a sequence number", 0xffffffffU));
    in_.expect(":", "in a sequence range START:END(LENGTH)");
    const auto end = static_cast<std::uint32_t>(in_.number("a sequence number", 0xffffffffU));
    in_.expect("(", "in a sequence range START:END(LENGTH)");
    s.length = static_cast<std::uint32_t>(in_.number("a length", 65535));
    in_.expect(")", "in a sequence range START:END(LENGTH)");
    if (!in_.failed() && s.start + s.length != end)
      in_.fail_at(at, "the end of the range is not its start plus length");
    return s;
  }

  TcpSpec tcp(Direction direction) {
    TcpSpec t;
    const Position at = (in_.skip(), in_.position());
    const std::string flags = in_.token();
    constexpr std::string_view kLetters = "FSRP.UEWA";  // in the order of their bits
    for (const char c : flags) {
      const auto bit = kLetters.find(c);
      if (c == '-' && flags.size() == 1) break;
      if (bit == std::string_view::npos) {
        in_.fail_at(at, "TCP flags " + quoted(flags) + ": " + quoted({&c, 1}) + " is none of " + std::string{kLetters});
        return t;
      }
      t.flags |= wire::TcpFlags::from_bits(static_cast<std::uint16_t>(1U << bit));
    }
    t.seq = sequence();
    if (in_.peek_word() == "ack") {
      static_cast<void>(in_.word());
      t.ack = static_cast<std::uint32_t>(in_.number("an acknowledgement number", 0xffffffffU));
    }
    if (t.flags.ack() != t.ack.has_value()) in_.fail_at(at, "the flag '.' and an ack number go together");
    if (in_.peek_word() == "win") {
      static_cast<void>(in_.word());
      t.window = static_cast<std::uint16_t>(in_.number("a window", 65535));
    }
    if (in_.peek_word() == "urg") {
      static_cast<void>(in_.word());
      t.urgent = static_cast<std::uint16_t>(in_.number("an urgent pointer", 65535));
    }
    if (direction == Direction::inbound && t.ack && !t.window) t.window = 65535;
    in_.skip();
    if (in_.peek() == '<') tcp_options(t, direction);
    return t;
  }

  void tcp_options(TcpSpec& t, Direction direction) {
    in_.take();
    const Position at = in_.position();
    if (in_.accept("...")) {
      t.any_options = true;
      if (direction == Direction::inbound) in_.fail_at(at, "<...> stands for any options: only for outbound packets");
      return in_.expect(">", "behind <...");
    }
    if (in_.accept(">")) return;
    std::size_t bytes = 0;
    do {
      TcpOptionSpec o = tcp_option();
      bytes += option_length(o);
      t.options.push_back(std::move(o));
    } while (in_.accept(",") && !in_.failed());
    in_.expect(">", "behind TCP options");
    if (!in_.failed() && (bytes % 4 != 0 || bytes > 40)) {
      in_.fail_at(at, "TCP options of " + std::to_string(bytes) +
                          " bytes: they must be a multiple of 4 (pad with nop or eol) and at most 40");
    }
  }

  static std::size_t option_length(const TcpOptionSpec& o) {
    using Kind = TcpOptionSpec::Kind;
    switch (o.kind) {
      case Kind::eol:
      case Kind::nop:
        return 1;
      case Kind::mss:
        return 4;
      case Kind::wscale:
        return 3;
      case Kind::sack_ok:
        return 2;
      case Kind::sack:
        return 2 + 8 * o.blocks.size();
      case Kind::timestamps:
        return 10;
      case Kind::fast_open:
        return 2 + o.bytes.size();
      case Kind::hex:
        return o.bytes.size();
    }
    return 0;
  }

  TcpOptionSpec tcp_option() {
    using Kind = TcpOptionSpec::Kind;
    TcpOptionSpec o;
    const Position at = (in_.skip(), in_.position());
    const std::string word = in_.word();
    if (word == "eol") {
      o.kind = Kind::eol;
    } else if (word == "nop") {
      o.kind = Kind::nop;
    } else if (word == "mss") {
      o.kind = Kind::mss;
      o.value = static_cast<std::uint32_t>(in_.number("an MSS", 65535));
    } else if (word == "wscale") {
      o.kind = Kind::wscale;
      o.value = static_cast<std::uint32_t>(in_.number("a window scale", 255));
    } else if (word == "sackOK") {
      o.kind = Kind::sack_ok;
    } else if (word == "sack") {
      o.kind = Kind::sack;
      while (in_.skip(), is_digit(in_.peek()) && !in_.failed()) {
        const auto left = static_cast<std::uint32_t>(in_.number("a SACK block's left edge", 0xffffffffU));
        in_.expect(":", "in a SACK block LEFT:RIGHT");
        o.blocks.emplace_back(left, static_cast<std::uint32_t>(in_.number("a SACK block's right edge", 0xffffffffU)));
      }
    } else if (word == "TS") {
      o.kind = Kind::timestamps;
      in_.expect("val", "in TS val N ecr N");
      o.value = static_cast<std::uint32_t>(in_.number("a time stamp", 0xffffffffU));
      in_.expect("ecr", "in TS val N ecr N");
      o.echo = static_cast<std::uint32_t>(in_.number("a time stamp echo", 0xffffffffU));
    } else if (word == "FO") {
      o.kind = Kind::fast_open;
      o.bytes = hex_bytes(in_.word(), at);
    } else if (word == "hex") {
      o.kind = Kind::hex;
      o.bytes = hex_bytes(in_.word(), at);
      if (o.bytes.empty()) in_.fail_at(at, "hex needs the bytes of the option, as in hex 1e04aabb");
    } else {
      in_.fail_at(at, "TCP option " + quoted(word) + " is not supported");
    }
    return o;
  }

  std::vector<std::uint8_t> hex_bytes(const std::string& digits, Position at) {
    std::vector<std::uint8_t> bytes;
    if (digits.size() % 2 != 0) in_.fail_at(at, "an odd number of hexadecimal digits");
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
      const int high = hex_digit(digits[i]);
      const int low = hex_digit(digits[i + 1]);
      if (high < 0 || low < 0) {
        in_.fail_at(at, quoted(digits) + " is not hexadecimal");
        return {};
      }
      bytes.push_back(static_cast<std::uint8_t>(high * 16 + low));
    }
    return bytes;
  }

  IcmpSpec icmp_quote() {
    IcmpSpec spec;
    if (in_.peek_word() == "udp") {
      static_cast<void>(in_.word());
      in_.expect("(", "before the length of a datagram");
      spec.quoted_udp = static_cast<std::uint32_t>(in_.number("a length", 65507));
      in_.expect(")", "behind the length of a datagram");
    } else {
      spec.quoted_tcp = sequence();
    }
    in_.expect("]", "behind a quoted packet");
    return spec;
  }

  IcmpSpec icmp(const std::optional<IcmpSpec>& quote) {
    IcmpSpec spec = quote.value_or(IcmpSpec{});
    const Position at = (in_.skip(), in_.position());
    const std::string type = in_.word();
    const bool ipv6 = out_.config.version == IpVersion::v6;
    const auto names = icmp_names(ipv6);
    std::string code = in_.peek_word();
    if (code == "port" || code == "host" || code == "net" || code == "protocol") code += "_unreachable";
    const auto is_type = [&](const IcmpName& n) { return n.type == type; };
    const IcmpName* found = nullptr;
    for (const IcmpName& n : names) {
      if (is_type(n) && (n.code.empty() || n.code == code)) {
        found = &n;
        break;
      }
    }
    if (found == nullptr) {
      in_.fail_at(
          at, std::string{ipv6 ? "ICMPv6" : "ICMPv4"} + " message " + quoted(type + " " + code) + " is not supported");
      return spec;
    }
    if (!found->code.empty()) static_cast<void>(in_.word());
    spec.type = found->type_value;
    spec.code = found->code_value;
    if (in_.peek_word() == "mtu") {
      static_cast<void>(in_.word());
      spec.mtu = static_cast<std::uint32_t>(in_.number("an MTU", 0xffffffffU));
    }
    if (in_.accept("[")) {
      const IcmpSpec q = icmp_quote();
      spec.quoted_tcp = q.quoted_tcp;
      spec.quoted_udp = q.quoted_udp;
    }
    return spec;
  }

  // --- calls ---------------------------------------------------------------------------------------------------------

  CallSpec call() {
    CallSpec c;
    c.name = in_.word();
    in_.expect("(", "behind the name of a call");
    if (!in_.accept(")")) {
      do {
        c.arguments.push_back(expression(0));
      } while (in_.accept(",") && !in_.failed());
      in_.expect(")", "behind the arguments of a call");
    }
    in_.expect("=", "behind a call: its result");
    if (!in_.accept("?")) {
      const bool negative = in_.accept("-");
      const auto value = static_cast<std::int64_t>(in_.number("a result", INT64_MAX));
      c.result = negative ? -value : value;
    }
    if (const std::string word = in_.peek_word(); !word.empty() && word.front() == 'E') {
      const Position at = in_.position();
      c.error = in_.word();
      if (!constant(c.error)) in_.fail_at(at, "errno name " + quoted(c.error) + " is not known");
    }
    in_.skip();
    if (in_.peek() == '(') {
      in_.take();
      static_cast<void>(in_.until(")", "this note"));
    }
    return c;
  }

  Expr expression(unsigned depth) {
    Expr first = term(depth);
    if (!in_.accept("|")) return first;
    Expr all;
    all.kind = Expr::Kind::either;
    all.at = first.at;
    all.items.push_back(std::move(first));
    do {
      all.items.push_back(term(depth));
    } while (in_.accept("|") && !in_.failed());
    return all;
  }

  Expr term(unsigned depth) {
    Expr e;
    in_.skip();
    e.at = in_.position();
    if (depth > 8) {
      in_.fail("brackets are nested too deep");
      return e;
    }
    const char c = in_.peek();
    if (in_.accept("...")) return e;
    if (c == '-' || is_digit(c)) {
      e.kind = Expr::Kind::integer;
      const bool negative = in_.accept("-");
      const auto value = static_cast<std::int64_t>(in_.number("a number", INT64_MAX));
      e.value = negative ? -value : value;
    } else if (c == '"') {
      in_.take();
      e.kind = Expr::Kind::text;
      e.name = in_.until("\"", "this text");
    } else if (c == '[') {
      in_.take();
      e.kind = Expr::Kind::array;
      list(e, "]", depth);
    } else if (c == '{') {
      in_.take();
      e.kind = Expr::Kind::structure;
      list(e, "}", depth);
    } else if (is_letter(c)) {
      e.kind = Expr::Kind::word;
      e.name = in_.word();
      if (in_.accept("(")) {
        e.kind = Expr::Kind::call;
        list(e, ")", depth);
      }
    } else {
      in_.fail("expected an argument");
    }
    return e;
  }

  void list(Expr& e, std::string_view end, unsigned depth) {
    if (in_.accept(end)) return;
    do {
      std::string field;
      static_cast<void>(in_.accept("."));  // .name = value, as in C
      Expr item = expression(depth + 1);
      if (e.kind == Expr::Kind::structure && item.kind == Expr::Kind::word && in_.accept("=")) {
        field = item.name;
        item = expression(depth + 1);
      }
      e.items.push_back(std::move(item));
      e.fields.push_back(std::move(field));
    } while (in_.accept(",") && !in_.failed());
    in_.expect(end, "at the end of a list");
  }

  // --- commands and code ---------------------------------------------------------------------------------------------

  SettingSpec command() {
    in_.take();
    const Position start = in_.position();
    const std::string_view text = in_.until("`", "this command");
    SettingSpec setting;
    Cursor inner{text, start};
    std::string tool;
    const auto separator = [](std::string_view w) { return w == ";" || w == "&&"; };
    while (inner.skip(), !inner.at_end()) {
      const Position at = inner.position();
      std::string word = inner.token();
      const auto quote = word.find('"');
      if (quote != std::string::npos && word.find('"', quote + 1) == std::string::npos) {
        word += inner.until("\"", "this text");
      }
      std::erase(word, '"');
      const bool last = !word.empty() && word.back() == ';' && word.size() > 1;
      if (last) word.pop_back();
      if (separator(word)) {
        tool.clear();
      } else if (tool.empty()) {
        tool = word;
        if (tool != "sysctl" && tool != "leat") {
          in_.fail_at(at, "command " + quoted(tool) +
                              " is not supported: set options by `sysctl NAME=VALUE` or `leat OPTION=VALUE`");
          return setting;
        }
      } else if (word.front() != '-') {
        assignment(setting, tool, word, at);
      }
      if (last) tool.clear();
      if (in_.failed()) return setting;
    }
    if (inner.error()) in_.fail_at(inner.error()->at, inner.error()->message);
    return setting;
  }

  void assignment(SettingSpec& setting, const std::string& tool, const std::string& word, Position at) {
    const auto equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string text = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (tool == "leat") {
      const auto id = find_option(name);
      const auto value = integer(text);
      if (!id) return in_.fail_at(at, "Leat has no option " + quoted(name));
      if (!value) return in_.fail_at(at, quoted(word) + " is not OPTION=NUMBER");
      return set(setting, *id, *value, at);
    }
    const OptionName* const known = find_sysctl(name);
    if (known == nullptr) return in_.fail_at(at, "sysctl " + quoted(name) + " is not supported");
    std::optional<std::int64_t> value = integer(text);
    if (known->scale == Scale::congestion) value = congestion_value(text);
    if (known->scale == Scale::last_of_three) {
      const auto space = text.find_last_of(" \t,");
      value = integer(space == std::string::npos ? text : text.substr(space + 1));
    }
    if (!value) return in_.fail_at(at, quoted(text) + " is no value for sysctl " + quoted(name));
    set(setting, known->id, scaled(known->scale, *value), at);
  }

  void set(SettingSpec& setting, OptionId id, std::int64_t value, Position at) {
    const OptionInfo& info = option_info(id);
    if (value < info.minimum || value > info.maximum) {
      return in_.fail_at(at, "option " + std::string{info.name} + " takes " + std::to_string(info.minimum) + " to " +
                                 std::to_string(info.maximum) + ", not " + std::to_string(value));
    }
    setting.values.emplace_back(id, value);
  }

  CodeSpec code() {
    CodeSpec spec;
    in_.expect("%{", "before code");
    const Position start = in_.position();
    const std::string_view text = in_.until("}%", "this code");
    if (in_.failed()) return spec;
    AssertionsResult result = parse_assertions(text, start);
    if (result.error) in_.fail_at(result.error->at, result.error->message);
    spec.asserts = std::move(result.asserts);
    return spec;
  }

  Cursor in_;
  Script out_;
};

}  // namespace

ParseResult parse(std::string_view name, std::string_view text) {
  return Parser{name, text}.run();
}

std::string to_text(std::string_view file, const Diagnostic& d) {
  return std::string{file} + ":" + std::to_string(d.at.line) + ":" + std::to_string(d.at.column) + ": " + d.message;
}

}  // namespace leat::script
