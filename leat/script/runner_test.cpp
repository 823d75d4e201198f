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
