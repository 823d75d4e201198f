// The runner: what makes a script fail, and what it says then. That scripts pass is shown by the scripts in tests/.

#include <gtest/gtest.h>

#include <leat/core/all_modules.hpp>
#include <leat/script/parser.hpp>
#include <leat/script/runner.hpp>

namespace leat::script {
namespace {

std::string played(std::string_view text, std::vector<std::string>* trace = nullptr, bool complete = false) {
  const ParseResult parsed = parse("t.pkt", text);
  if (!parsed) return to_text("t.pkt", *parsed.error);
  RunOptions options{.modules = &kAllModules, .trace = {}, .complete = complete};
  if (trace != nullptr) options.trace = [trace](const std::string& line) { trace->push_back(line); };
  const RunReport report = run(parsed.script, options);
  return report.failure ? to_text("t.pkt", *report.failure) : "passed";
}

constexpr std::string_view kEstablished = R"(0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 5) = 0
+0 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4
)";

std::string established(std::string_view rest) {
  return played(std::string{kEstablished} + std::string{rest});
}

// The first line of what it says.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

TEST(ScriptRunner, AScriptThatFitsPasses) {
  EXPECT_EQ(established("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n"), "passed");
}

TEST(ScriptRunner, ShowsBothSegmentsInTheScriptsSyntax) {
  EXPECT_EQ(established("+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1\n"),
            "t.pkt:9:1: the payload's length is 10, expected 11\n"
            "  expected  0.100000 > P. 1:12(11) ack 1\n"
            "  actual    0.100000 > P. 1:11(10) ack 1 win 65535");
  EXPECT_EQ(established("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 win 7\n"),
            "t.pkt:9:1: the window is 65535, expected 7\n"
            "  expected  0.100000 > P. 1:11(10) ack 1 win 7\n"
            "  actual    0.100000 > P. 1:11(10) ack 1 win 65535");
}

TEST(ScriptRunner, ASegmentAtTheWrongTimeFails) {
  EXPECT_EQ(established("+0 write(4, ..., 10) = 10\n+.1 > P. 1:11(10) ack 1\n"),
            "t.pkt:9:1: the time is 0.100000, expected 0.200000\n"
            "  expected  0.200000 > P. 1:11(10) ack 1\n"
            "  actual    0.100000 > P. 1:11(10) ack 1 win 65535");
  EXPECT_EQ(established("+0 write(4, ..., 10) = 10\n+0~+.1 > P. 1:11(10) ack 1\n"), "passed");
  EXPECT_EQ(established("+0 write(4, ..., 10) = 10\n* > P. 1:11(10) ack 1\n"), "passed");
}

// 4 ms either way unless the script says otherwise, of a segment and of an event.
TEST(ScriptRunner, TimesHaveATolerance) {
  const std::string write = "+.1 write(4, ..., 10) = 10\n";  // at 0.2
  const auto expected = [&](std::string_view time, std::string_view options = "") {
    return first_line(played(std::string{options} + std::string{kEstablished} + write + std::string{time} +
                             " > P. 1:11(10) ack 1\n"));
  };
  EXPECT_EQ(expected("0.204"), "passed");
  EXPECT_EQ(expected("0.196"), "passed");
  EXPECT_EQ(expected("0.2041"), "t.pkt:9:1: the time is 0.200000, expected 0.204100");
  EXPECT_EQ(expected("0.1959"), "t.pkt:9:1: the time is 0.200000, expected 0.195900");
  EXPECT_EQ(expected("0.1~0.196"), "passed");
  EXPECT_EQ(expected("0.204~0.3"), "passed");
  EXPECT_EQ(expected("0.1~0.1959"), "t.pkt:9:1: the time is 0.200000, expected 0.100000 to 0.195900");
  EXPECT_EQ(expected("0.2041~0.3"), "t.pkt:9:1: the time is 0.200000, expected 0.204100 to 0.300000");
  EXPECT_EQ(expected("0.2001", "--tolerance_usecs=100\n"), "passed");
  EXPECT_EQ(expected("0.2002", "--tolerance_usecs=100\n"), "t.pkt:10:1: the time is 0.200000, expected 0.200200");
  EXPECT_EQ(established("0.098 write(4, ..., 10) = 10\n"), "passed");
  EXPECT_EQ(first_line(established("0.0959 write(4, ..., 10) = 10\n")),
            "t.pkt:8:1: this event is due at 0.095900, but it is 0.100000");
}

// A delayed acknowledgement comes 40 ms later: the runner waits for it, and what follows counts from its time.
TEST(ScriptRunner, RelativeTimesCountFromTheEventBefore) {
  const std::string data = "+0 setsockopt(4, SOL_TCP, TCP_QUICKACK, [0], 4) = 0\n+0 < P. 1:11(10) ack 1 win 1000\n";
  EXPECT_EQ(established(data + "+.04 > . 1:1(0) ack 11\n"), "passed");
  EXPECT_EQ(established(data + "+0~+.1 > . 1:1(0) ack 11\n"), "passed");
  EXPECT_EQ(established(data + "* > . 1:1(0) ack 11\n"), "passed");
  EXPECT_EQ(first_line(established(data + "+.02 > . 1:1(0) ack 11\n")), "t.pkt:10:1: no segment came by 0.124000");
  std::vector<std::string> trace;
  EXPECT_EQ(played(std::string{kEstablished} + data + "* > . 1:1(0) ack 11\n+.01 read(4, ..., 10) = 10\n", &trace),
            "passed");
  EXPECT_TRUE(trace.back().starts_with("0.150")) << trace.back();  // timers are exact to some tens of microseconds
  // The time of a segment is when it was sent, not when the script came to ask for it.
  EXPECT_EQ(played(std::string{kEstablished} +
                       "+0 write(4, ..., 10) = 10\n+.05 read(9, ..., 1) = -1\n0.1 > P. 1:11(10) ack 1\n"
                       "+.1 read(9, ..., 1) = -1\n",
                   &trace),
            "passed");
  EXPECT_EQ(trace.back(), "0.200000 read(9, ..., 1) = -1");
}

TEST(ScriptRunner, EndsAtTheFirstFailureAndCountsWhatWentWell) {
  const auto report = [](std::string_view rest) {
    const ParseResult parsed = parse("t.pkt", std::string{kEstablished} + std::string{rest});
    EXPECT_TRUE(parsed);
    return run(parsed.script, {.modules = &kAllModules, .trace = {}, .complete = false});
  };
  const RunReport good = report("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+0 < . 1:1(0) ack 11 win 9\n");
  EXPECT_TRUE(good.passed());
  EXPECT_EQ(good.events, 10U);
  EXPECT_EQ(good.packets_in, 3U);
  EXPECT_EQ(good.packets_out, 2U);
  const RunReport bad = report("+0 read(9, ..., 1) = 1\n+0 read(9, ..., 2) = 2\n+0 < . 1:1(0) ack 1 win 9\n");
  EXPECT_FALSE(bad.passed());
  EXPECT_EQ(bad.failure->at.line, 8U);
  EXPECT_EQ(bad.events, 7U);
  EXPECT_EQ(bad.packets_in, 2U);
}

TEST(ScriptRunner, OptionsMakeTheStack) {
  const auto syn_ack = [](const std::string& head, std::string_view options, std::string_view rest = "") {
    return first_line(played(head + R"(0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 5) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop>
+0 > S. 0:0(0) ack 1 <)" + std::string{options} +
                             ">\n" + std::string{rest}));
  };
  EXPECT_EQ(syn_ack("", "mss 1460,nop,nop,sackOK"), "passed");
  EXPECT_EQ(syn_ack("--mtu=600\n", "mss 560,nop,nop,sackOK"), "passed");
  EXPECT_EQ(syn_ack("`sysctl -q net.ipv4.tcp_sack=0`\n", "mss 1460"), "passed");
  EXPECT_EQ(syn_ack("--local_ip=10.1.2.3 --remote_ip=10.9.9.9\n--bind_port=81\n", "mss 1460,nop,nop,sackOK",
                    "+.1 < 53421 > 81: . 1:1(0) ack 1 win 9\n+0 accept(3, ..., ...) = 4\n"),
            "passed");
  EXPECT_EQ(syn_ack("--ip_version=ipv6\n", "mss 1440,nop,nop,sackOK"), "passed");
  EXPECT_EQ(first_line(established("+0 %{ assert 1 == 1; assert 1 == 2 }%\n")), "t.pkt:8:22: assert 1 == 2 fails: ");
}

// Ports tell connections apart; without them a segment belongs to the newest one.
TEST(ScriptRunner, TwoConnectionsAreNotMixedUp) {
  const std::string second =
      "+0 < 40000 > 8080: S 0:0(0) win 1000 <mss 1000>\n+0 > 8080 > 40000: S. 0:0(0) ack 1 <mss 1460>\n"
      "+0 write(4, ..., 10) = 10\n";  // on the first one
  const auto answer = [&](const std::string& expected) { return first_line(established(second + expected)); };
  EXPECT_EQ(answer("+0 > 8080 > 53421: P. 1:11(10) ack 1\n"), "passed");
  EXPECT_EQ(answer("+0 > P. 1:11(10) ack 1\n"), "t.pkt:11:1: it belongs to another connection");
  EXPECT_EQ(answer("+0 > 8080 > 40000: P. 1:11(10) ack 1\n"), "t.pkt:11:1: it belongs to another connection");
  EXPECT_EQ(answer("+0 > 8081 > 53421: P. 1:11(10) ack 1\n"), "t.pkt:11:1: it belongs to another connection");
  EXPECT_EQ(answer("+0 < 53421 > 8080: P. 1:11(10) ack 1 win 1000\n+0 read(4, ..., 10) = 10\n"), "passed");
  EXPECT_EQ(answer("+0 < 40001 > 8080: P. 1:11(10) ack 1 win 1000\n+0 read(4, ..., 10) = 10\n"),
            "t.pkt:12:1: read would block: give it an end time (0.1...0.2), or the socket O_NONBLOCK");
}

// Both addresses of what comes out are the connection's, or those that the script names.
TEST(ScriptRunner, AddressesAreCompared) {
  const auto answer = [](const std::string& ip) {
    return established("+0 write(4, ..., 10) = 10\n+0 > " + ip + " P. 1:11(10) ack 1\n");
  };
  EXPECT_EQ(answer(""), "passed");
  EXPECT_EQ(answer("[src 192.168.0.1, dst 192.0.2.1]"), "passed");
  EXPECT_EQ(answer("[dst 192.0.2.2]"),
            "t.pkt:9:1: the destination address is 192.0.2.1, expected 192.0.2.2\n"
            "  expected  0.100000 > [dst 192.0.2.2] P. 1:11(10) ack 1\n"
            "  actual    0.100000 > P. 1:11(10) ack 1 win 65535");
  EXPECT_EQ(first_line(answer("[src 192.168.0.2]")),
            "t.pkt:9:1: the source address is 192.168.0.1, expected 192.168.0.2");
  EXPECT_EQ(answer("[dst 192.0.2]"), "t.pkt:9:11: '192.0.2' is not an address of the script's IP version");
  EXPECT_EQ(answer("[dst fd00::1]"), "t.pkt:9:11: 'fd00::1' is not an address of the script's IP version");
  // A datagram that goes elsewhere than to where the script's segments come from.
  const std::string udp =
      "0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3\n+0 bind(3, ..., ...) = 0\n+0 sendto(3, ..., 10, 0, {sa_family = "
      "AF_INET, sin_port = htons(77), sin_addr = inet_addr(\"10.0.0.9\")}, 16) = 10\n";
  EXPECT_EQ(first_line(played(udp + "+0 > 8080 > 77: udp (10)\n")),
            "t.pkt:4:1: the destination address is 10.0.0.9, expected 192.0.2.1");
  EXPECT_EQ(played(udp + "+0 > [dst 10.0.0.9] 8080 > 77: udp (10)\n"), "passed");
}

// One port, two hosts: two connections. What names no host belongs to the newest.
TEST(ScriptRunner, AddressesTellConnectionsApart) {
  const std::string second =
      "+0 < [src 10.0.0.9] 53421 > 8080: S 5:5(0) win 1000 <mss 1000>\n"
      "+0 > [dst 10.0.0.9] 8080 > 53421: S. 0:0(0) ack 6 <mss 1460>\n"
      "+0 < 53421 > 8080: . 6:6(0) ack 1 win 1000\n+0 accept(3, ..., ...) = 5\n";
  EXPECT_EQ(established(second + "+0 write(5, ..., 10) = 10\n+0 > P. 1:11(10) ack 6\n"), "passed");
  EXPECT_EQ(established(second + "+0 < [src 192.0.2.1] 53421 > 8080: P. 1:11(10) ack 1 win 9\n"
                                 "+0 read(4, ..., 10) = 10\n"),
            "passed");
  EXPECT_EQ(first_line(established(second + "+0 write(4, ..., 10) = 10\n+0 > 8080 > 53421: P. 1:11(10) ack 6\n")),
            "t.pkt:13:1: the acknowledgement number is 1, expected 6");
  // An error from a router on the way: it quotes the connection's addresses and has its own.
  EXPECT_EQ(established("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n"
                        "+0 < [src 10.0.0.254] [1:11(10)] icmp unreachable frag_needed mtu 600\n"
                        "+0 %{ assert tcpi_pmtu == 600 }%\n"),
            "passed");
}

TEST(ScriptRunner, WhatIsSentAtTheEndMustBeThereInACompleteScript) {
  const std::string text = std::string{kEstablished} + "+0 write(4, ..., 10) = 10\n";
  EXPECT_EQ(played(text), "passed");
  EXPECT_EQ(played(text, nullptr, true),
            "t.pkt:8:1: the script ends, and the stack has sent more\n"
            "  actual    0.100000 > P. 1:11(10) ack 1 win 65535");
  EXPECT_EQ(played(text + "+0 > P. 1:11(10) ack 1\n", nullptr, true), "passed");
}

TEST(ScriptRunner, ASegmentThatDoesNotComeFails) {
  const std::string text = established("+0 > . 1:1(0) ack 1\n");
  EXPECT_TRUE(text.starts_with("t.pkt:8:1: no segment came by 0.104000\n  expected  > . 1:1(0) ack 1\n")) << text;
  const std::string quiet = established("* > . 1:1(0) ack 1\n");
  EXPECT_TRUE(quiet.starts_with("t.pkt:8:1: no segment came\n")) << quiet;
}

TEST(ScriptRunner, ASegmentThatNobodyExpectedFailsAtTheNextOne) {
  const std::string text = established(
      "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n"
      "+0 write(4, ..., 10) = 10\n+0 write(4, ..., 5) = 5\n+0 > P. 11:16(5) ack 1\n");
  EXPECT_TRUE(text.starts_with("t.pkt:11:1: the sequence number is 1, expected 11\n")) << text;
}

TEST(ScriptRunner, CallsAreCompared) {
  EXPECT_EQ(established("+0 read(9, ..., 10) = 3\n"),
            "t.pkt:8:1: read returns -1 EBADF, expected 3\n  call      0.100000 read(9, ..., 10) = 3");
  EXPECT_EQ(established("+0 read(9, ..., 10) = -1 EAGAIN\n"),
            "t.pkt:8:1: read returns -1 EBADF, expected -1 EAGAIN\n"
            "  call      0.100000 read(9, ..., 10) = -1 EAGAIN");
  EXPECT_EQ(established("+0 read(9, ..., 10) = -1 EBADF\n+0 read(9, ..., 10) = ?\n"), "passed");
  EXPECT_EQ(established("+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0\n"),
            "t.pkt:8:1: getsockopt: TCP_NODELAY is 0, expected 1");
  EXPECT_EQ(established("+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1\n"),
            "t.pkt:8:1: poll: revents is 4, expected 1");
}

TEST(ScriptRunner, CallsThatAreNotSupportedSaySo) {
  EXPECT_EQ(established("+0 epoll_create(1) = 5\n"), "t.pkt:8:1: call 'epoll_create' is not supported");
  EXPECT_EQ(established("+0 read(4, 10) = 5\n"), "t.pkt:8:1: read takes 3 arguments, not 2");
  EXPECT_EQ(established("+0 setsockopt(4, SOL_TCP, TCP_WIBBLE, [1], 4) = 0\n"),
            "t.pkt:8:1: socket option 'TCP_WIBBLE' is not supported");
  EXPECT_EQ(established("+0 socket(..., SOCK_WIBBLE, 0) = 7\n"), "t.pkt:8:1: the name 'SOCK_WIBBLE' is not known");
  EXPECT_EQ(established("+0 socket(..., SOCK_STREAM, 0) = 4\n"), "t.pkt:8:1: descriptor 4 is open already");
}

TEST(ScriptRunner, BlockingCallsNeedAnEndAndKeepIt) {
  EXPECT_EQ(established("+0 read(4, ..., 10) = 10\n"),
            "t.pkt:8:1: read would block: give it an end time (0.1...0.2), or the socket O_NONBLOCK");
  EXPECT_EQ(established("+0...0.1 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 1000\n"), "passed");
  EXPECT_EQ(established("+0...0.3 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 1000\n"),
            "t.pkt:8:1: read returns at 0.200000, expected at 0.400000");
  EXPECT_EQ(established("+0...0.1 read(4, ..., 10) = 10\n+.2 < P. 1:11(10) ack 1 win 1000\n"),
            "t.pkt:8:1: read still blocks, expected its end at 0.200000");
  EXPECT_EQ(established("+0...0.1 read(4, ..., 10) = 10\n"), "t.pkt:8:1: read does not return");
  EXPECT_EQ(established("+0...0.1 write(4, ..., 10) = 10\n"), "t.pkt:8:1: write returns at once, expected at 0.200000");
  EXPECT_EQ(established("+0...0.5 poll([{fd=4, events=POLLIN, revents=0}], 1, 500) = 0\n"), "passed");
  EXPECT_EQ(established("+0...0.5 poll([{fd=4, events=POLLIN, revents=0}], 1, 500) = 0\n+2 read(9, ..., 1) = -1\n"),
            "passed");
  EXPECT_EQ(established("+0...0.3 poll([{fd=4, events=POLLIN, revents=0}], 1, 500) = 0\n+2 read(9, ..., 1) = -1\n"),
            "t.pkt:8:1: poll returns at 0.600000, expected at 0.400000");
  EXPECT_EQ(first_line(established("+0...0.1 read(4, ..., 10) = 9\n+.1 < P. 1:11(10) ack 1 win 1000\n")),
            "t.pkt:8:1: read returns 10, expected 9");
  EXPECT_EQ(established("+0...0.1 read(4, ..., 10) = ?\n+.1 < P. 1:11(10) ack 1 win 1000\n"), "passed");
}

// Each call does what it says, and what a program would see is compared.
TEST(ScriptRunner, SocketsAreMadeAsTheScriptSays) {
  EXPECT_EQ(first_line(established("+0 socket(AF_UNIX, SOCK_STREAM, 0) = 7\n")),
            "t.pkt:8:1: the name 'AF_UNIX' is not known");
  EXPECT_EQ(first_line(established("+0 socket(1, SOCK_STREAM, 0) = 7\n")),
            "t.pkt:8:1: an address family that is not supported");
  EXPECT_EQ(first_line(established("+0 socket(AF_INET, SOCK_RAW, 0) = 7\n")),
            "t.pkt:8:1: a socket type that is not supported");
  EXPECT_EQ(first_line(established("+0 accept(3, ..., ...) = 4\n")), "t.pkt:8:1: descriptor 4 is open already");
  EXPECT_EQ(established("+0 close(4) = 0\n+0 read(4, ..., 1) = -1 EBADF\n"), "passed");
  // Non-blocking from the start, by accept4, by fcntl and for one call.
  const std::string empty = " = -1 EAGAIN\n";
  EXPECT_EQ(established("+0 socket(..., SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP) = 5\n+0 read(5, ..., 10)" + empty),
            "passed");
  EXPECT_EQ(established("+0 fcntl(4, F_GETFL) = 2\n+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"
                        "+0 fcntl(4, F_GETFL) = 2050\n+0 read(4, ..., 10)" +
                        empty + "+0 fcntl(4, F_SETFL, O_RDWR) = 0\n+0 fcntl(4, F_GETFL) = 2\n"),
            "passed");
  EXPECT_EQ(first_line(established("+0 fcntl(4, 9, 1) = 0\n")),
            "t.pkt:8:1: fcntl is supported with F_GETFL and F_SETFL");
  EXPECT_EQ(established("+0 recv(4, ..., 10, MSG_DONTWAIT)" + empty), "passed");
  EXPECT_EQ(established("+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n+0 accept(3, ..., ...)" + empty), "passed");
  EXPECT_EQ(established("+0 < 40000 > 8080: S 0:0(0) win 1000 <mss 1000>\n+0 > 8080 > 40000: S. 0:0(0) ack 1 <...>\n"
                        "+0 < 40000 > 8080: . 1:1(0) ack 1 win 1000\n+0 accept4(3, ..., ..., SOCK_NONBLOCK) = 5\n"
                        "+0 read(5, ..., 10)" +
                        empty),
            "passed");
}

TEST(ScriptRunner, ConnectsWhereTheScriptSays) {
  const std::string socket = "0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3\n";
  const auto connects = [&](const std::string& to, const std::string& ports, const std::string& head = "") {
    return first_line(played(head + socket + "+0 connect(3, " + to + ", ...) = -1 EINPROGRESS\n+0 > " + ports +
                             ": S 0:0(0) <...>\n"));
  };
  const std::string bound =
      "0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3\n+0 bind(3, {sa_family = AF_INET, sin_port = "
      "htons(5000), sin_addr = 0}, ...) = 0\n";
  const auto from_5000 = [&](const std::string& to, const std::string& ports, const std::string& head = "") {
    return first_line(
        played(head + bound + "+0 connect(3, " + to + ", ...) = -1 EINPROGRESS\n+0 > " + ports + ": S 0:0(0) <...>\n"));
  };
  EXPECT_EQ(from_5000("...", "5000 > 8080"), "passed");
  EXPECT_EQ(from_5000("...", "5000 > 99", "--connect_port=99\n"), "passed");
  const std::string other = "{sa_family = AF_INET, sin_port = htons(77), sin_addr = inet_addr(\"10.0.0.9\")}";
  EXPECT_EQ(from_5000(other, "5000 > 77"), "passed");
  EXPECT_EQ(first_line(played(bound + "+0 connect(3, " + other +
                              ", ...) = -1 EINPROGRESS\n+0 > S 0:0(0) <...>\n+0 < [1:1(0)] icmp unreachable host\n"
                              "+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n")),
            "passed");  // a soft error of this connection, which goes on
  EXPECT_EQ(connects("{sa_family = AF_INET, sin_port = htons(77), sin_addr = inet_addr(\"10.0.0\")}", "1 > 77"),
            "t.pkt:2:1: '10.0.0' is not an address");
  EXPECT_EQ(connects("7", "1 > 77"),
            "t.pkt:2:1: an address is ... or {sa_family = AF_INET, sin_port = htons(8080), sin_addr = "
            "inet_addr(\"10.0.0.1\")}");
  // Blocking: it returns when the answer has come, with its error when there is one.
  const std::string blocking =
      "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0...0.2 connect(3, ..., ...) = 0\n+0 > S 0:0(0) <...>\n";
  EXPECT_EQ(played(blocking + "+.2 < S. 0:0(0) ack 1 win 1000 <mss 1000>\n+0 > . 1:1(0) ack 1\n"), "passed");
  EXPECT_EQ(first_line(played(blocking + "+.2 < R. 0:0(0) ack 1 win 0\n")),
            "t.pkt:2:1: connect returns -1 ECONNREFUSED, expected 0");
}

TEST(ScriptRunner, DataIsCheckedInBothDirections) {
  const std::string data = "+0 < P. 1:11(10) ack 1 win 1000\n";
  EXPECT_EQ(established(data + "+0 recv(4, ..., 4, MSG_PEEK) = 4\n+0 read(4, ..., 4) = 4\n+0 read(4, ..., 10) = 6\n"),
            "passed");
  EXPECT_EQ(first_line(established(data + "+0 recv(4, ..., 4, MSG_OOB) = 4\n")),
            "t.pkt:9:1: the name 'MSG_OOB' is not known");
  EXPECT_EQ(first_line(established(data + "+0 recv(4, ..., 4, 1) = 4\n")),
            "t.pkt:9:1: a flag of recv that is not supported");
  EXPECT_EQ(first_line(established("+0 send(4, ..., 4, 1) = 4\n")), "t.pkt:8:1: a flag of send that is not supported");
  EXPECT_EQ(first_line(established(data + "+0 read(4, ..., -1) = 4\n")), "t.pkt:9:1: a length that is not supported");
  EXPECT_EQ(first_line(established("+0 write(4, ..., -1) = 4\n")), "t.pkt:8:1: a length that is not supported");
  // Bytes from another place of the stream: the other side's first SYN said 0, its data begin at 101.
  EXPECT_EQ(first_line(played("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n"
                              "+0 listen(3, 5) = 0\n+0 < 1 > 8080: S 0:0(0) win 32792 <mss 1000>\n"
                              "+0 > 8080 > 1: S. 0:0(0) ack 1 <...>\n+0 < 1 > 8080: . 1:1(0) ack 1 win 9\n"
                              "+0 accept(3, ..., ...) = 4\n+0 < 2 > 8080: S 100:100(0) win 1 <mss 1000>\n"
                              "+0 > 8080 > 2: S. 0:0(0) ack 101 <...>\n+0 < 1 > 8080: P. 1:11(10) ack 1 win 9\n"
                              "+0 read(4, ..., 10) = 10\n")),
            "passed");
  // What does not fit is not told as sent.
  const std::string full = "+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [4096], 4) = 0\n";
  EXPECT_EQ(first_line(established(full + "+0 send(4, ..., 100000, MSG_DONTWAIT) = 100000\n")).substr(0, 25),
            "t.pkt:9:1: send returns 4");
  EXPECT_EQ(
      established(full + "+0 send(4, ..., 100000, MSG_DONTWAIT) = ?\n+0 send(4, ..., 1, MSG_DONTWAIT) = -1 "
                         "EAGAIN\n+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n+0 write(4, ..., 1) = -1 EAGAIN\n"),
      "passed");
  // Datagrams go where sendto says.
  const std::string udp = "0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3\n+0 bind(3, ..., ...) = 0\n";
  EXPECT_EQ(played(udp + "+0 sendto(3, ..., 10, 0, {sa_family = AF_INET, sin_port = htons(77), sin_addr = "
                         "inet_addr(\"10.0.0.9\")}, 16) = 10\n+0 > [dst 10.0.0.9] 8080 > 77: udp (10)\n"),
            "passed");
}

TEST(ScriptRunner, ShutdownAndOptionsReachTheSocket) {
  EXPECT_EQ(established("+0 shutdown(4, SHUT_RD) = 0\n+0 read(4, ..., 10) = 0\n+0 write(4, ..., 10) = 10\n"
                        "+0 > P. 1:11(10) ack 1\n+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 11:11(0) ack 1\n"
                        "+0 write(4, ..., 10) = -1 EPIPE\n"),
            "passed");
  EXPECT_EQ(established("+0 shutdown(4, 3) = -1 EINVAL\n"), "passed");
  EXPECT_EQ(established("+0 setsockopt(4, SOL_TCP, TCP_KEEPIDLE, [7], 4) = 0\n"
                        "+0 getsockopt(4, SOL_TCP, TCP_KEEPIDLE, [7], [4]) = 0\n"
                        "+0 getsockopt(4, SOL_LEAT, tcp_keep_idle, [7000000], [8]) = 0\n"
                        "+0 setsockopt(4, SOL_LEAT, tcp_keep_idle, [9000000], 8) = 0\n"
                        "+0 getsockopt(4, SOL_TCP, TCP_KEEPIDLE, [9], [4]) = 0\n"),
            "passed");
  EXPECT_EQ(established("+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, \"reno\", 4) = 0\n"
                        "+0 getsockopt(4, SOL_TCP, TCP_CONGESTION, \"reno\", [4]) = 0\n"
                        "+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, \"vegas\", 5) = -1 ENOENT\n"),
            "passed");
  EXPECT_EQ(established("+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=0, linger=3}, 8) = 0\n"
                        "+0 getsockopt(4, SOL_LEAT, linger, [-1], [4]) = 0\n"
                        "+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {1, 3}, 8) = 0\n"
                        "+0 getsockopt(4, SOL_LEAT, linger, [3], [4]) = 0\n"),
            "passed");
  EXPECT_EQ(first_line(established("+0 setsockopt(4, SOL_TCP, TCP_NODELAY, {onoff=1, linger=0}, 8) = 0\n")),
            "t.pkt:8:1: only {onoff=N, linger=N} is supported as a structure");
  EXPECT_EQ(established("+0 < R. 1:1(0) ack 1 win 0\n+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0\n"
                        "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n"),
            "passed");
}

TEST(ScriptRunner, PollShowsWhatAProgramWouldSee) {
  const auto polls = [](const std::string& before, const std::string& events, const std::string& revents,
                        const std::string& result) {
    return first_line(established(before + "+0 poll([{fd=4, events=" + events + ", revents=" + revents +
                                  "}], 1, 0) = " + result + "\n"));
  };
  EXPECT_EQ(polls("", "POLLIN|POLLOUT", "POLLOUT", "1"), "passed");
  EXPECT_EQ(polls("", "POLLIN", "0", "0"), "passed");
  EXPECT_EQ(polls("", "POLLOUT", "POLLOUT", "0"), "t.pkt:8:1: poll returns 1, expected 0");
  const std::string fin = "+0 < F. 1:1(0) ack 1 win 1000\n";
  EXPECT_EQ(polls(fin, "POLLIN|POLLRDHUP", "POLLIN|POLLRDHUP", "1"), "passed");
  EXPECT_EQ(polls(fin, "POLLOUT", "POLLOUT", "1"), "passed");
  EXPECT_EQ(polls("+0 < R. 1:1(0) ack 1 win 0\n", "POLLOUT", "POLLOUT|POLLERR|POLLHUP", "1"), "passed");
  EXPECT_EQ(first_line(established("+0 poll([{fd=9, events=POLLIN}], 1, 0) = 0\n")),
            "t.pkt:8:1: poll of a descriptor that is not open");
  EXPECT_EQ(first_line(established("+0 poll(4, 1, 0) = 0\n")),
            "t.pkt:8:1: poll takes [{fd=4, events=POLLIN, revents=POLLIN}]");
  EXPECT_EQ(first_line(established("+0 poll([{fd=4}], 1, 0) = 0\n")),
            "t.pkt:8:1: poll takes [{fd=4, events=POLLIN, revents=POLLIN}]");
  EXPECT_EQ(established("+0 < P. 1:11(10) ack 1 win 9\n+0 poll([{4, POLLIN, POLLIN}, {3, POLLIN, 0}, {4, POLLOUT, "
                        "POLLOUT}], 3, 0) = 2\n"),
            "passed");
  EXPECT_EQ(first_line(established("+0 close(4, 5) = 0\n")), "t.pkt:8:1: close takes 1 arguments, not 2");
}

TEST(ScriptRunner, AnEventThatComesTooLateFails) {
  EXPECT_EQ(established("0.02 write(4, ..., 10) = 10\n"),
            "t.pkt:8:1: this event is due at 0.020000, but it is 0.100000");
}

TEST(ScriptRunner, AssertionsAreChecked) {
  EXPECT_EQ(established("+0 %{ assert tcpi_state == TCP_ESTABLISHED }%\n"), "passed");
  EXPECT_EQ(established("+0 %{ assert tcpi_unacked == 3 }%\n"),
            "t.pkt:8:7: assert tcpi_unacked == 3 fails: tcpi_unacked is 0");
  EXPECT_EQ(established("+0 %{ assert tcpi_wibble == 3 }%\n"),
            "t.pkt:8:7: 'tcpi_wibble' is not a field or constant that is known here");
}

TEST(ScriptRunner, TraceShowsWhatHappens) {
  std::vector<std::string> trace;
  EXPECT_EQ(played(kEstablished, &trace), "passed");
  ASSERT_EQ(trace.size(), 7U);
  EXPECT_EQ(trace[3], "0.000000 < S 0:0(0) win 32792 <mss 1000>");
  EXPECT_NE(trace[4].find("> S. "), std::string::npos);
  EXPECT_EQ(trace[6], "0.100000 accept(3, ..., ...) = 4");
}

}  // namespace
}  // namespace leat::script
