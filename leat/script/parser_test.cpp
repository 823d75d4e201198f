// What scripts may say, and what the parser says about what they may not.

#include <gtest/gtest.h>

#include <leat/script/assertion.hpp>
#include <leat/script/names.hpp>
#include <leat/script/parser.hpp>
#include <leat/script/segment.hpp>
#include <leat/wire/ipv6.hpp>

namespace leat::script {
namespace {

Script parsed(std::string_view text) {
  ParseResult r = parse("test.pkt", text);
  EXPECT_FALSE(r.error.has_value()) << to_text("test.pkt", *r.error);
  return std::move(r.script);
}

std::string error_of(std::string_view text) {
  const ParseResult r = parse("test.pkt", text);
  return r.error ? to_text("test.pkt", *r.error) : "no error";
}

TEST(ScriptParser, ReadsAWholeHandshake) {
  const Script s = parsed(R"(// A passive open.
--tolerance_usecs=1000
--mtu=1400
`sysctl -q net.ipv4.tcp_timestamps=0 net.ipv4.tcp_keepalive_time=7`
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3   # a comment
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+.1 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+0~+0.1 > S. 0:0(0) ack 1 <...>
* < P. 1:1001(1000) ack 1 win 257 urg 3 <nop,nop,TS val 100 ecr 0xffffffff,sack 1:2 3:4,nop,nop>
0.3...0.5 accept(3, ..., ...) = -1 EAGAIN (Resource temporarily unavailable)
)");
  EXPECT_EQ(s.config.tolerance, Duration::ms(1));
  EXPECT_EQ(s.config.mtu, 1400U);
  ASSERT_EQ(s.events.size(), 8U);
  const auto& setting = std::get<SettingSpec>(s.events[0].action);
  ASSERT_EQ(setting.values.size(), 2U);
  EXPECT_EQ(setting.values[1], std::pair(OptionId::tcp_keep_idle, std::int64_t{7'000'000}));
  EXPECT_EQ(s.events[1].at.line, 5U);
  EXPECT_EQ(s.events[1].time.kind, EventTime::Kind::absolute);

  const auto& syn = std::get<PacketSpec>(s.events[4].action);
  EXPECT_EQ(syn.direction, Direction::inbound);
  EXPECT_EQ(s.events[4].time.first, Duration::ms(100));
  const auto& tcp = std::get<TcpSpec>(syn.body);
  EXPECT_TRUE(tcp.flags == wire::TcpFlags{wire::TcpFlag::syn});
  EXPECT_EQ(tcp.window, 32792);
  ASSERT_EQ(tcp.options.size(), 6U);
  EXPECT_EQ(tcp.options[0].value, 1000U);
  EXPECT_EQ(tcp.options[5].value, 7U);

  const auto& synack = std::get<TcpSpec>(std::get<PacketSpec>(s.events[5].action).body);
  EXPECT_EQ(s.events[5].time.last, Duration::ms(100));
  EXPECT_TRUE(synack.any_options);
  EXPECT_EQ(synack.ack, 1U);
  EXPECT_EQ(synack.window, std::nullopt);

  const auto& data = std::get<TcpSpec>(std::get<PacketSpec>(s.events[6].action).body);
  EXPECT_EQ(s.events[6].time.kind, EventTime::Kind::any);
  EXPECT_EQ(data.seq.length, 1000U);
  EXPECT_EQ(data.urgent, 3);
  EXPECT_EQ(data.options[2].echo, 0xffffffffU);
  EXPECT_EQ(data.options[3].blocks.size(), 2U);

  const auto& accept = std::get<CallSpec>(s.events[7].action);
  EXPECT_EQ(accept.end, Duration::ms(500));
  EXPECT_EQ(accept.result, -1);
  EXPECT_EQ(accept.error, "EAGAIN");
}

TEST(ScriptParser, ReadsPortsIpInformationUdpAndIcmp) {
  const Script s = parsed(R"(
0 < [ect0, ttl 7] 40000 > 8080: S 5:5(0) win 1
0 > [noecn] udp (100)
0 < [1:1461(1460)] icmp unreachable frag_needed mtu 1200
0 < icmp unreachable port [udp (5)]
)");
  const auto& p = std::get<PacketSpec>(s.events[0].action);
  EXPECT_EQ(p.ports->source, 40000);
  EXPECT_EQ(p.ip.ecn, EcnSpec::ect0);
  EXPECT_EQ(p.ip.ttl, 7);
  EXPECT_EQ(std::get<UdpSpec>(std::get<PacketSpec>(s.events[1].action).body).length, 100U);
  const auto& too_big = std::get<IcmpSpec>(std::get<PacketSpec>(s.events[2].action).body);
  EXPECT_EQ(too_big.code, 4);
  EXPECT_EQ(too_big.mtu, 1200U);
  EXPECT_EQ(too_big.quoted_tcp->length, 1460U);
  EXPECT_EQ(std::get<IcmpSpec>(std::get<PacketSpec>(s.events[3].action).body).quoted_udp, 5U);
}

TEST(ScriptParser, IcmpNumbersFollowTheIpVersion) {
  const Script s = parsed("--ip_version=ipv6\n0 < icmp packet_too_big mtu 1280 [1:2(1)]\n");
  EXPECT_EQ(std::get<IcmpSpec>(std::get<PacketSpec>(s.events[0].action).body).type, 2);
  EXPECT_EQ(s.config.local.version(), IpVersion::v6);
  EXPECT_EQ(error_of("0 < icmp packet_too_big mtu 1280 [1:2(1)]"),
            "test.pkt:1:10: ICMPv4 message 'packet_too_big mtu' is not supported");
}

TEST(ScriptParser, ReadsStructuresAndFlags) {
  const Script s = parsed(R"(
0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
0 connect(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("10.0.0.1")}, 16) = 0
0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)
0 write(3, ..., 0) = ?
)");
  const auto& linger = std::get<CallSpec>(s.events[0].action).arguments[3];
  ASSERT_EQ(linger.fields.size(), 2U);
  EXPECT_EQ(linger.fields[1], "linger");
  EXPECT_EQ(std::get<CallSpec>(s.events[1].action).arguments[2].items.size(), 2U);
  EXPECT_EQ(std::get<CallSpec>(s.events[3].action).result, 2);
  EXPECT_EQ(std::get<CallSpec>(s.events[4].action).result, std::nullopt);
}

// Every kind of mistake: the place, and what is wrong.
TEST(ScriptParser, NamesThePlaceOfAMistake) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", "1:1: the script is empty"},
      {"0 > Q 0:0(0)", "1:5: TCP flags 'Q': 'Q' is none of FSRP.UEWA"},
      {"0 > S 0:5(0)", "1:7: the end of the range is not its start plus length"},
      {"0 > S 0:0(0) ack 1", "1:5: the flag '.' and an ack number go together"},
      {"0 > . 0:0(0)", "1:5: the flag '.' and an ack number go together"},
      {"\n0 < . 1:1(0) ack 1 <mss 5,wibble>", "2:27: TCP option 'wibble' is not supported"},
      {"0 < . 1:1(0) ack 1 <mss 5,nop>",
       "1:21: TCP options of 5 bytes: they must be a multiple of 4 (pad with nop or eol) "
       "and at most 40"},
      {"0 < . 1:1(0) ack 1 <...>", "1:21: <...> stands for any options: only for outbound packets"},
      {"0 < S 0:0(0) win 65536", "1:18: a window is larger than 65535"},
      {"0 < S 0:0(0) ack", "1:17: expected an acknowledgement number, a number"},
      {"0 < [ect7] S 0:0(0)", "1:6: IP information 'ect7' is not supported"},
      {"0 < mpls S 0:0(0)", "1:5: packets of kind 'mpls' are not supported"},
      {"0 < [1:2(1)] S 0:0(0)", "1:14: a quoted segment ([1:101(100)]) belongs to an icmp packet"},
      {"0 < S 0:0(0) <hex 1e0>", "1:15: an odd number of hexadecimal digits"},
      {"0 read(3, ..., 10", "1:18: expected ')' behind the arguments of a call"},
      {"0 read(3, ..., 10) = x", "1:22: expected a result, a number"},
      {"0 read(3, ..., 10) = -1 EWHAT", "1:25: errno name 'EWHAT' is not known"},
      {"0 read(3, @) = 0", "1:11: expected an argument"},
      {"0...1 < S 0:0(0)", "1:7: only a call has an end time (0.1...0.2)"},
      {"*...1 read(3, ..., 1) = 0", "1:1: a call with an end time needs a start time"},
      {"+0~1 > S 0:0(0)", "1:4: both ends of a time range are relative (+), or neither is"},
      {"1~0 > S 0:0(0)", "1:4: a time range that ends before it begins"},
      {"x < S 0:0(0)", "1:1: expected a time in seconds"},
      {"0 ?", "1:3: expected a packet (< or >), a call, a `command` or %{ code }%"},
      {"/* never\nending", "1:1: this comment does not end"},
      {"0 `sysctl -q net.ipv4.tcp_wibble=1`", "1:14: sysctl 'net.ipv4.tcp_wibble' is not supported"},
      {"`iptables -F`",
       "1:2: command 'iptables' is not supported: set options by `sysctl NAME=VALUE` or `leat "
       "OPTION=VALUE`"},
      {"`leat tcp_wibble=1`", "1:7: Leat has no option 'tcp_wibble'"},
      {"`leat tcp_nodelay=2`", "1:7: option tcp_nodelay takes 0 to 1, not 2"},
      {"`leat tcp_nodelay`", "1:7: 'tcp_nodelay' is not OPTION=NUMBER"},
      {"`sysctl", "1:2: this command does not end: no '`'"},
      {"--wibble=3\n0 > S 0:0(0)", "1:3: option --wibble with value '3' is not supported"},
      {"--mtu=1\n0 > S 0:0(0)", "1:3: option --mtu with value '1' is not supported"},
      {"--ip_version=ipv6 --local_ip=10.0.0.1\n0 > S 0:0(0)",
       "2:1: --local_ip and --remote_ip must be of the version that --ip_version says"},
      {"0 %{ print(1) }%", "1:6: only assert statements are supported in code, not 'print'"},
      {"0 %{ assert tcpi_x == }%", "1:23: expected a number or a field in an assertion"},
      {"0 %{ }%", "1:5: there is no assertion in this code"},
      {"0 %{ assert len(x) }%", "1:16: calls are not supported in an assertion"},
      {"0 %{\nassert 1 < 2 < 3 }%", "2:14: chained comparisons are not supported"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(error_of(text), "test.pkt:" + std::string{message}) << text;
}

// No prefix of a good script crashes the parser or hangs it.
TEST(ScriptParser, EveryTruncationEndsInOneError) {
  constexpr std::string_view kText = R"(--mtu=1400
`sysctl -q net.ipv4.tcp_sack=0 net.ipv4.tcp_rmem="1 2 3000"`
0...0.1 connect(3, {sa_family = AF_INET, sin_addr = inet_addr("10.0.0.1")}, ...) = -1 EINPROGRESS (note)
+0 > [ect0] 1 > 2: SE. 0:0(0) ack 1 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>
+0 < [1:2(1)] icmp unreachable port_unreachable mtu 3
+0 %{ assert tcpi_unacked == 1 and not (tcpi_lost > 2), "no" }%
)";
  for (std::size_t n = 0; n <= kText.size(); ++n) static_cast<void>(parse("t", kText.substr(0, n)));
  EXPECT_EQ(error_of(kText), "no error");
}

TEST(ScriptAssertion, FollowsPythonsPrecedence) {
  const FieldSource fields = [](std::string_view name) -> std::optional<std::int64_t> {
    if (name == "tcpi_unacked") return 10;
    if (name == "tcpi_lost") return 0;
    return std::nullopt;
  };
  const auto value = [&](std::string_view text) {
    const AssertionsResult r = parse_assertions(text, {});
    EXPECT_FALSE(r.error.has_value()) << text << ": " << r.error->message;
    const Evaluation e = evaluate(r.asserts.at(0), fields);
    return e.error.empty() ? std::to_string(e.value) : e.error;
  };
  EXPECT_EQ(value("assert tcpi_unacked == 10"), "1");
  EXPECT_EQ(value("assert tcpi_unacked == 9"), "0");
  EXPECT_EQ(value("assert 1 + 2 * 3 == 7 and 10 - 3 - 2 == 5"), "1");
  EXPECT_EQ(value("assert not tcpi_lost and tcpi_unacked // 3 == 3"), "1");
  EXPECT_EQ(value("assert not tcpi_lost == 0 or 0"), "0");
  EXPECT_EQ(value("assert -(2) + 2 == 0, 'a message'"), "1");
  EXPECT_EQ(value("assert 7 % 4"), "3");
  EXPECT_EQ(value("assert tcpi_unacked / 0"), "the calculation overflows or divides by zero");
  EXPECT_EQ(value("assert tcpi_wibble"), "'tcpi_wibble' is not a field or constant that is known here");
  EXPECT_EQ(parse_assertions("assert 1;\n  # nothing\n  assert 2 ; assert 3", {}).asserts.size(), 3U);
}

// --- segments --------------------------------------------------------------------------------------------------------

PacketSpec packet(std::string_view text) {
  return std::get<PacketSpec>(parsed(text).events.at(0).action);
}

Flow flow() {
  Flow f;
  f.local = {IpAddress::v4(192, 168, 0, 1), Port{8080}};
  f.remote = {IpAddress::v4(192, 0, 2, 1), Port{40000}};
  return f;
}

// The other side's packet, seen as if the stack had sent it.
LivePacket reply(std::string_view inbound, const Flow& of) {
  Flow mirrored = of;
  mirrored.local = of.remote;
  mirrored.remote = of.local;
  mirrored.script_isn = std::nullopt;
  mirrored.stamps.clear();
  if (of.script_isn) mirrored.remote_isn = of.live_isn;
  return {Duration::ms(1500), build(packet(inbound), mirrored)};
}

TEST(ScriptSegment, BuildsWhatItDescribes) {
  Flow f = flow();
  const auto bytes = build(packet("0 < [ce] PE. 1:11(10) ack 5 win 9 <mss 700,nop,wscale 3,TS val 8 ecr 0,sackOK>"), f);
  const Decoded d = decode(bytes);
  EXPECT_EQ(d.error, "");
  EXPECT_EQ(describe({Duration::us(2'000'001), bytes}, d, &f),
            "2.000001 > [ce] PE. 1:11(10) ack 5 win 9 <mss 700,nop,wscale 3,TS val 8 ecr 0,sackOK>");
}

TEST(ScriptSegment, MapsSequenceNumbersAndStamps) {
  Flow f = flow();
  const Config config;
  // The stack's ISN is 7000, its clock 900; the script calls them 0 and 100.
  const LivePacket syn = reply("0 < S 7000:7000(0) win 5 <TS val 900 ecr 0,nop,nop>", f);
  EXPECT_EQ(compare(packet("0 > S 0:0(0) win 5 <TS val 100 ecr 0,nop,nop>"), syn, decode(syn.bytes), f, config), "");
  const auto inbound = build(packet("0 < . 1:1(0) ack 1 win 9 <nop,nop,TS val 5 ecr 100>"), f);
  const auto tcp = wire::TcpView::parse(decode(inbound).transport);
  EXPECT_EQ(tcp->ack().value(), 7001U);
  EXPECT_EQ(load_be32(&tcp->options()[8]), 900U);
  const LivePacket data = reply("0 < . 7001:7011(10) ack 1 win 9", f);
  EXPECT_EQ(compare(packet("0 > . 1:11(10) ack 1 win 9"), data, decode(data.bytes), f, config), "");
  const LivePacket wrong =
      reply("0 < . 7001:7011(10) ack 1 win 9", flow());  // its content is from elsewhere in the stream
  EXPECT_EQ(compare(packet("0 > . 1:11(10) ack 1 win 9"), wrong, decode(wrong.bytes), f, config),
            "payload byte 0 is not what was written");
}

// What compare() says when the script expects the one and the other was sent.
std::string difference(std::string_view expected, std::string_view sent, const Config& config = {}) {
  Flow f = flow();
  f.script_isn = 0;
  f.live_isn = 0;
  const LivePacket live = reply(sent, f);
  return compare(packet(expected), live, decode(live.bytes), f, config);
}

TEST(ScriptSegment, SaysWhatDiffers) {
  EXPECT_EQ(difference("0 > . 1:11(10) ack 5", "0 < . 1:11(10) ack 5"), "");
  EXPECT_EQ(difference("0 > P. 1:1(0) ack 5", "0 < . 1:1(0) ack 5"), "flags are ., expected P.");
  EXPECT_EQ(difference("0 > . 2:2(0) ack 5", "0 < . 1:1(0) ack 5"), "the sequence number is 1, expected 2");
  EXPECT_EQ(difference("0 > . 1:2(1) ack 5", "0 < . 1:1(0) ack 5"), "the payload's length is 0, expected 1");
  EXPECT_EQ(difference("0 > . 1:1(0) ack 6", "0 < . 1:1(0) ack 5"), "the acknowledgement number is 5, expected 6");
  EXPECT_EQ(difference("0 > . 1:1(0) ack 5 win 8", "0 < . 1:1(0) ack 5 win 7"), "the window is 7, expected 8");
  EXPECT_EQ(difference("0 > . 1:1(0) ack 5", "0 < . 1:1(0) ack 5 win 7"), "");
  EXPECT_EQ(difference("0 > U. 1:1(0) ack 5 urg 3", "0 < U. 1:1(0) ack 5 win 7 urg 3"), "");
  EXPECT_EQ(difference("0 > U. 1:1(0) ack 5 urg 3", "0 < U. 1:1(0) ack 5 win 7 urg 4"),
            "the urgent pointer is 4, expected 3");
  EXPECT_EQ(difference("0 > U. 1:1(0) ack 5", "0 < U. 1:1(0) ack 5 win 7 urg 4"),
            "the urgent pointer is 4, expected 0");
  EXPECT_EQ(difference("0 > . 1:1(0) ack 5 urg 3", "0 < . 1:1(0) ack 5 win 7"), "the urgent pointer is 0, expected 3");
  EXPECT_EQ(difference("0 > . 1:1(0) ack 5", "0 < . 1:1(0) ack 5 <mss 5>"), "TCP options differ");
  EXPECT_EQ(difference("0 > . 1:1(0) ack 5 <mss 6>", "0 < . 1:1(0) ack 5 <mss 5>"), "TCP options differ");
  EXPECT_EQ(difference("0 > . 1:1(0) ack 5 <mss 5,mss 5>", "0 < . 1:1(0) ack 5 <mss 5>"), "TCP options differ");
  EXPECT_EQ(difference("0 > . 1:1(0) ack 5 <...>", "0 < . 1:1(0) ack 5 <mss 5>"), "");
  EXPECT_EQ(difference("0 > udp (1)", "0 < . 1:1(0) ack 5"), "the IP protocol is 6, expected 17");
  EXPECT_EQ(difference("0 > udp (1)", "0 < udp (2)"), "the payload's length is 2, expected 1");
  EXPECT_EQ(difference("0 > udp (2)", "0 < udp (2)"), "");
}

TEST(ScriptSegment, SaysWhatDiffersInTheIpHeader) {
  const auto ip = [](const std::string& expected, const std::string& sent) {
    return difference("0 > [" + expected + "] . 1:1(0) ack 5", "0 < [" + sent + "] . 1:1(0) ack 5");
  };
  const std::pair<const char*, unsigned> marks[] = {{"noecn", 0}, {"ect1", 1}, {"ect0", 2}, {"ce", 3}};
  for (const auto& [expected, number] : marks) {
    for (const auto& [sent, other] : marks) {
      EXPECT_EQ(
          ip(expected, sent),
          number == other ? "" : "the ECN field is " + std::to_string(other) + ", expected " + std::to_string(number));
      const bool either = other == 1 || other == 2;
      EXPECT_EQ(ip("ect01", sent), either ? "" : "the ECN field is " + std::to_string(other) + ", expected 2");
    }
  }
  EXPECT_EQ(ip("tos 16", "tos 16"), "");
  EXPECT_EQ(ip("tos 16", "tos 16, ce"), "");  // the two bits of ECN have words of their own
  EXPECT_EQ(ip("tos 16", "tos 32"), "the traffic class is 32, expected 16");
  EXPECT_EQ(ip("ttl 64", "ttl 64"), "");
  EXPECT_EQ(ip("ttl 64", "ttl 63"), "the TTL is 63, expected 64");
  Config small;
  small.mtu = 140;
  EXPECT_EQ(difference("0 > . 1:101(100) ack 5", "0 < . 1:101(100) ack 5", small), "");
  small.mtu = 139;
  EXPECT_EQ(difference("0 > . 1:101(100) ack 5", "0 < . 1:101(100) ack 5", small),
            "the packet is larger than the MTU of 139");
}

TEST(ScriptSegment, SaysWhatDiffersInAnError) {
  EXPECT_EQ(difference("0 > icmp unreachable port", "0 < icmp unreachable port"), "");
  EXPECT_EQ(difference("0 > icmp time_exceeded", "0 < icmp unreachable net"), "the ICMP type is 3, expected 11");
  EXPECT_EQ(difference("0 > icmp unreachable host", "0 < icmp unreachable net"), "the ICMP code is 0, expected 1");
  EXPECT_EQ(difference("0 > icmp unreachable frag_needed mtu 1300", "0 < icmp unreachable frag_needed mtu 1200"),
            "the MTU is 1200, expected 1300");
}

TEST(ScriptSegment, DatagramsCarryTheirOwnBytes) {
  Flow f = flow();
  LivePacket live = reply("0 < udp (10)", f);
  live.bytes[20 + 8 + 3] ^= 1;
  live.bytes[20 + 6] = live.bytes[20 + 7] = 0;  // no checksum
  Decoded d = decode(live.bytes);
  d.error.clear();
  EXPECT_EQ(compare(packet("0 > udp (10)"), live, d, f, {}), "payload byte 3 is not what was written");
  EXPECT_EQ(compare(packet("0 > udp (10)"), live, decode(live.bytes), f, {}),
            "the stack sent a malformed packet: its transport checksum is wrong");
}

// The stack's stamps are the script's by the first one, and later ones go on from there.
TEST(ScriptSegment, StampsAreCheckedAgainstTheFirst) {
  const auto stamps = [](std::string_view expected, std::string_view sent, Duration tick) {
    Flow f = flow();
    f.script_isn = 0;
    f.live_isn = 0;
    f.stamps = {{100, 900}, {105, 905}};
    Config config;
    config.tolerance = Duration::ms(4);
    config.timestamp_tick = tick;
    const LivePacket live = reply("0 < . 1:1(0) ack 5 <nop,nop," + std::string{sent} + ">", f);
    return compare(packet("0 > . 1:1(0) ack 5 <nop,nop," + std::string{expected} + ">"), live, decode(live.bytes), f,
                   config);
  };
  const Duration unchecked{};
  const Duration ms = Duration::ms(1);
  EXPECT_EQ(stamps("TS val 100 ecr 7", "TS val 900 ecr 7", unchecked), "");
  EXPECT_EQ(stamps("TS val 100 ecr 7", "TS val 901 ecr 7", unchecked), "TS val is 101, expected 100");
  EXPECT_EQ(stamps("TS val 105 ecr 7", "TS val 907 ecr 7", ms), "TS val is 107, expected 105");  // one that was seen
  EXPECT_EQ(stamps("TS val 200 ecr 7", "TS val 5000 ecr 7", unchecked), "");
  EXPECT_EQ(stamps("TS val 200 ecr 7", "TS val 1005 ecr 7", ms), "");  // 4 ms and what rounding costs
  EXPECT_EQ(stamps("TS val 200 ecr 7", "TS val 995 ecr 7", ms), "");
  EXPECT_EQ(stamps("TS val 200 ecr 7", "TS val 1006 ecr 7", ms), "TS val is 206, expected 200");
  EXPECT_EQ(stamps("TS val 200 ecr 7", "TS val 994 ecr 7", ms), "TS val is 194, expected 200");
  EXPECT_EQ(stamps("TS val 100 ecr 8", "TS val 900 ecr 7", unchecked), "TS ecr is 7, expected 8");
  EXPECT_EQ(stamps("TS val 100 ecr 7", "hex 090a0000038400000007", unchecked), "TCP options differ");
}

// Numbers of a side are mapped wherever they stand: the other side's never.
TEST(ScriptSegment, SackBlocksAndQuotesAreMapped) {
  Flow f = flow();
  f.script_isn = 0;
  f.live_isn = 7000;
  const auto inbound = build(packet("0 < . 1:1(0) ack 1 win 9 <nop,nop,sack 101:201>"), f);
  const auto tcp = wire::TcpView::parse(decode(inbound).transport);
  EXPECT_EQ(load_be32(&tcp->options()[4]), 7101U);
  EXPECT_EQ(load_be32(&tcp->options()[8]), 7201U);
  const LivePacket ours = reply("0 < . 7001:7001(0) ack 1 <nop,nop,sack 101:201>", flow());
  EXPECT_EQ(compare(packet("0 > . 1:1(0) ack 1 <nop,nop,sack 101:201>"), ours, decode(ours.bytes), f, {}), "");
  EXPECT_EQ(compare(packet("0 > . 1:1(0) ack 1 <nop,nop,sack 102:201>"), ours, decode(ours.bytes), f, {}),
            "TCP options differ");
  EXPECT_EQ(compare(packet("0 > . 1:1(0) ack 1 <nop,nop,sack 101:202>"), ours, decode(ours.bytes), f, {}),
            "TCP options differ");
  const auto error = build(packet("0 < icmp unreachable frag_needed mtu 1200 [101:201(100)]"), f);
  const ByteSpan message = decode(error).transport;
  EXPECT_EQ(load_be32(&message[4]), 1200U);
  EXPECT_EQ(load_be16(&message[8 + 2]), 20 + 20 + 100);  // as long as what was sent
  EXPECT_EQ(load_be16(&message[8 + 20]), 8080);
  EXPECT_EQ(load_be16(&message[8 + 22]), 40000);
  EXPECT_EQ(load_be32(&message[8 + 24]), 7101U);
}

// A connection that is over, by a reset of either side or a SYN with another number, begins anew.
TEST(ScriptSegment, ANewConnectionBeginsWithNewNumbers) {
  const auto learns = [](Flow f) {
    const LivePacket syn = reply("0 < S 5000:5000(0) win 5", flow());
    return compare(packet("0 > S 0:0(0) win 5"), syn, decode(syn.bytes), f, {}).empty() && f.live_isn == 5000;
  };
  Flow f = flow();
  EXPECT_TRUE(learns(f));
  f.script_isn = 0;
  f.live_isn = 7000;
  EXPECT_FALSE(learns(f));
  Flow reset_by_them = f;
  static_cast<void>(build(packet("0 < R 1:1(0)"), reset_by_them));
  EXPECT_TRUE(learns(reset_by_them));
  Flow reset_by_us = f;
  const LivePacket reset = reply("0 < R 7001:7001(0)", flow());
  EXPECT_EQ(compare(packet("0 > R 1:1(0)"), reset, decode(reset.bytes), reset_by_us, {}), "");
  EXPECT_TRUE(learns(reset_by_us));
  Flow again = f;
  static_cast<void>(build(packet("0 < S 100:100(0) win 5"), again));
  EXPECT_FALSE(learns(again));
  static_cast<void>(build(packet("0 < S 100:100(0) win 5"), again));  // sent again: the same connection
  EXPECT_FALSE(learns(again));
  static_cast<void>(build(packet("0 < S 300:300(0) win 5"), again));
  EXPECT_EQ(again.remote_isn, 300U);
  EXPECT_TRUE(learns(again));
}

TEST(ScriptSegment, PutsEveryFieldOnTheWire) {
  Flow f = flow();
  const auto bytes = build(packet("0 < [tos 40, ect1, ttl 9] U. 11:21(10) ack 5 win 77 urg 3"), f);
  const Decoded d = decode(bytes);
  EXPECT_EQ(d.error, "");
  EXPECT_EQ(d.ttl, 9);
  EXPECT_EQ(d.traffic_class, 41);
  const auto tcp = wire::TcpView::parse(d.transport);
  EXPECT_EQ(tcp->window(), 77);
  EXPECT_EQ(tcp->urgent(), 3);
  EXPECT_EQ(tcp->source_port().value(), 40000);
  EXPECT_EQ(tcp->destination_port().value(), 8080);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(tcp->payload()[i], stream_byte(10 + i)) << "its place in the stream";
  const auto datagram = build(packet("0 < udp (10)"), f);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(decode(datagram).transport[8 + i], stream_byte(i));
  for (const char* body : {"1:1(0) ack 5", "udp (10)", "[1:1(0)] icmp unreachable host"}) {
    const std::string text = std::string{"0 < [src 10.0.0.254, dst 10.0.0.1] "} + (*body == '1' ? ". " : "") + body;
    const auto elsewhere = build(packet(text), f);
    EXPECT_EQ(decode(elsewhere).error, "") << "the checksum covers the addresses";
    EXPECT_EQ(decode(elsewhere).source, IpAddress::v4(10, 0, 0, 254)) << body;
    EXPECT_EQ(decode(elsewhere).destination, IpAddress::v4(10, 0, 0, 1)) << body;
  }
  Flow six = f;
  six.local.address = *IpAddress::parse("fd00::1");
  six.remote.address = *IpAddress::parse("fd00::2");
  const auto v6 = build(packet("0 < [ttl 9] . 1:1(0) ack 5"), six);
  EXPECT_EQ(decode(v6).ttl, 9);
  EXPECT_EQ(decode(v6).error, "");
}

TEST(ScriptSegment, NoticesWrongLengths) {
  Flow f = flow();
  auto bytes = build(packet("0 < . 1:11(10) ack 5"), f);
  bytes.push_back(0);
  EXPECT_EQ(decode(bytes).error, "its IPv4 header is malformed");
  f.local.address = *IpAddress::parse("fd00::1");
  f.remote.address = *IpAddress::parse("fd00::2");
  bytes = build(packet("0 < . 1:11(10) ack 5"), f);
  bytes.push_back(0);
  EXPECT_EQ(decode(bytes).error, "its IPv6 header is malformed");
  EXPECT_EQ(decode({}).error, "it is empty");
  // Seven bytes of TCP in a packet that is right otherwise.
  wire::Ipv6Header h;
  h.payload_length = 7;
  h.next_header = wire::IpProtocol::tcp;
  std::vector<std::uint8_t> cut(47);
  static_cast<void>(h.emit(cut));
  EXPECT_EQ(decode(cut).error, "its transport header is cut");
}

TEST(ScriptSegment, NoticesDamage) {
  Flow f = flow();
  auto bytes = build(packet("0 < . 1:11(10) ack 5"), f);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= 1;
    EXPECT_NE(decode(bytes).error, "") << i;
    bytes[i] ^= 1;
  }
  EXPECT_EQ(decode(bytes).error, "");
}

TEST(ScriptNames, TablesAreConsistent) {
  EXPECT_EQ(errno_name(104), "ECONNRESET");
  EXPECT_EQ(errno_name(9999), "9999");
  EXPECT_EQ(constant("EWOULDBLOCK"), 11);
  EXPECT_EQ(find_sysctl("net.ipv4.tcp_sack")->id, OptionId::tcp_sack);
  EXPECT_EQ(scaled(Scale::seconds, 3), 3'000'000);
  EXPECT_EQ(unscaled(Scale::milliseconds, 3'000), 3);
  EXPECT_EQ(congestion_value("newreno"), 0);
  EXPECT_EQ(congestion_name(1), "cubic");
}

}  // namespace
}  // namespace leat::script
