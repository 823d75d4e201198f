// Requests and replies of several segments: which ACK waits for the reply that carries it, and which may not. The
// server's reader is served inside the turn; the reply is its next call, after the turn.

#include <leat/drive/shard.hpp>
#include <leat/drive/two_hosts_test_support.hpp>

namespace leat {
namespace {

using test::TwoHosts;

constexpr TwoHosts::Options kOffloads{.caps = {.link = LinkType::ethernet,
                                               .mtu = 1500,
                                               .max_gso = 65535,
                                               .tx_checksum = true,
                                               .rx_checksum = true,
                                               .rx_merges = true,
                                               .gather = true}};

class RequestsAndReplies : public testing::Test {
 protected:
  static constexpr std::size_t kRequest = 4096;  // three segments

  void SetUp() override {
    EXPECT_TRUE(listener_.listen(net_.stack(1), {TwoHosts::address(1), Port{7}}, 1,
                                 CallbackSocket::Handler::to<&RequestsAndReplies::on_listener>(*this)));
    EXPECT_TRUE(client_.connect(net_.stack(0), {TwoHosts::address(1), Port{7}},
                                CallbackSocket::Handler::to<&RequestsAndReplies::on_client>(*this)));
    EXPECT_TRUE(net_.run(net_.now() + Duration::s(1), [&] { return server_.is_open(); }));
    net_.run_for(Duration::ms(100));
  }
  // One request, which the server reads whole while no time passes. Returns the packets that the server sent for it.
  std::uint64_t request(std::size_t bytes = kRequest) {
    request_size_ = bytes;
    got_ = 0;
    const std::uint64_t before = sent_by_server();
    std::vector<std::uint8_t> data(bytes);
    std::size_t written = 0;
    for (unsigned i = 0; i < 100 && got_ < bytes; ++i) {
      if (written < bytes) written += client_.write(ByteSpan{data}.subspan(written))->count;
      settle();
    }
    EXPECT_EQ(got_, bytes);
    return sent_by_server() - before;
  }
  // The server's next call. Returns the packets that it sent for it.
  std::uint64_t reply() {
    const std::uint64_t before = sent_by_server();
    const std::vector<std::uint8_t> data(kRequest);
    replied_ = 0;
    EXPECT_EQ(server_.write(data)->count, kRequest);
    settle();
    EXPECT_EQ(replied_, kRequest);
    return sent_by_server() - before;
  }
  // All that happens without time passing.
  void settle() { net_.run_for(Duration{}); }
  [[nodiscard]] std::uint64_t sent_by_server() { return net_.shard(1).ports()[0].device()->counters().tx_packets; }

  void on_listener(CallbackSocket& listener, Ready) {
    (void)server_.accept(listener, CallbackSocket::Handler::to<&RequestsAndReplies::on_server>(*this));
  }
  void on_server(CallbackSocket& s, Ready) {
    std::vector<std::uint8_t> buffer(request_size_ - got_);
    if (!buffer.empty()) got_ += s.read(buffer)->count;
    if (asks_for_more_) (void)s.read(MutableByteSpan{spare_});
  }
  void on_client(CallbackSocket& s, Ready) {
    std::vector<std::uint8_t> buffer(kRequest);
    if (const auto n = s.read(buffer)) replied_ += n->count;
  }

  TwoHosts net_{kOffloads};
  CallbackSocket listener_, client_, server_;
  std::array<std::uint8_t, 1> spare_{};
  std::size_t request_size_ = 0, got_ = 0, replied_ = 0;
  bool asks_for_more_ = false;
};

TEST_F(RequestsAndReplies, TheReplyCarriesTheAck) {
  EXPECT_EQ(request(), 1U) << "nobody knows yet that a reply will come";
  EXPECT_EQ(reply(), 1U) << "4,096 octets leave as one super-segment";
  for (unsigned i = 0; i < 20; ++i) {
    EXPECT_EQ(request(), 0U) << i;
    EXPECT_EQ(reply(), 1U) << i;
  }
}

// Whoever sleeps until the next request would be woken by it for nothing.
TEST_F(RequestsAndReplies, TheAckThatLeftWithTheReplyLeavesNoDeadline) {
  request();
  reply();
  for (unsigned i = 0; i < 20; ++i) {
    EXPECT_EQ(request(), 0U) << i;
    EXPECT_LT(net_.stack(1).next_deadline(), net_.now() + Duration::ms(2)) << i;
    reply();
    EXPECT_GT(net_.stack(1).next_deadline(), net_.now() + Duration::ms(2)) << i;
    net_.run_for(Duration::us(100));
  }
}

// RFC 9293 3.8.6.3: nothing waits for long, and who was late once is not waited for again.
TEST_F(RequestsAndReplies, ALateReplyIsNotWaitedFor) {
  request();
  reply();
  EXPECT_EQ(request(), 0U);
  const std::uint64_t before = sent_by_server();
  net_.run_for(Duration::us(900));
  EXPECT_EQ(sent_by_server() - before, 0U);
  net_.run_for(Duration::us(300));
  EXPECT_EQ(sent_by_server() - before, 1U) << "the limit of 1 ms";
  net_.run_for(Duration::ms(5));
  EXPECT_EQ(reply(), 1U);
  EXPECT_EQ(request(), 1U);
}

TEST_F(RequestsAndReplies, AReaderThatAsksForMoreHasNoReply) {
  request();
  reply();
  asks_for_more_ = true;
  EXPECT_EQ(request(), 1U);
}

TEST_F(RequestsAndReplies, AReaderThatAsksForMoreLaterHasNoReplyEither) {
  request();
  reply();
  EXPECT_EQ(request(), 0U);
  const std::uint64_t before = sent_by_server();
  EXPECT_EQ(server_.read(MutableByteSpan{spare_})->count, 0U);
  settle();
  EXPECT_EQ(sent_by_server() - before, 1U);
}

TEST_F(RequestsAndReplies, WhatTheReaderLeftIsAcknowledgedAtOnce) {
  request();
  reply();
  request_size_ = 1000;  // of the 4,096
  got_ = 0;
  const std::uint64_t before = sent_by_server();
  EXPECT_EQ(client_.write(std::vector<std::uint8_t>(kRequest))->count, kRequest);
  settle();
  EXPECT_EQ(sent_by_server() - before, 1U);
}

TEST_F(RequestsAndReplies, MuchDataIsAcknowledgedAtOnce) {
  request();
  reply();
  EXPECT_EQ(request(5 * 1448), 1U) << "more than a few segments may be all that the sender's window allows";
  reply();
  request(1 << 20);  // and on a wire without delay a megabyte takes no time at all: nothing waits for a deadline
}

TEST_F(RequestsAndReplies, ZeroSwitchesItOff) {
  EXPECT_TRUE(net_.stack(1).set_option(OptionId::tcp_reply_wait, 0));
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(request(), 1U) << i;
    EXPECT_EQ(reply(), 1U) << i;
  }
}

}  // namespace
}  // namespace leat
