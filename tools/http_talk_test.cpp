// One connection's requests and their answers, whatever reads and writes them.

#include "http_talk.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace leat::tools {
namespace {

constexpr Instant kStart = Instant::from_ns(1'000'000'000);
constexpr Duration kPatience = Duration::s(60);

ByteSpan bytes(std::string_view text) {
  return {static_cast<const std::uint8_t*>(static_cast<const void*>(text.data())), text.size()};
}

struct Talk : ::testing::Test {
  HttpSite site{std::filesystem::temp_directory_path().string(), false};
  HttpTalk talk{site, {}, kPatience};
};

TEST_F(Talk, RequestsInPiecesAndSeveralAtOnceAreAnsweredInTurn) {
  EXPECT_FALSE(talk.next());
  talk.received(bytes("GET /no-such-file HTTP/1.1\r\nHos"), kStart);
  EXPECT_FALSE(talk.next());
  talk.received(bytes("t: a\r\n\r\nPUT / HTTP/1.1\r\nHost: a\r\n\r\n"), kStart + kPatience);
  EXPECT_EQ(talk.next()->status, 404);
  EXPECT_EQ(talk.next()->status, 405);
  EXPECT_FALSE(talk.next());
}

TEST_F(Talk, WhatIsNoRequestEndsTheConnection) {
  talk.received(bytes("nonsense\r\n\r\n"), kStart);
  const auto answer = talk.next();
  EXPECT_EQ(answer->status, 400);
  EXPECT_TRUE(answer->close);
}

TEST_F(Talk, WhoTakesTooLongForARequestIsToldSo) {
  talk.received(bytes("G"), kStart);
  EXPECT_FALSE(talk.next());
  talk.received(bytes("E"), kStart + kPatience + Duration::ns(1));
  const auto answer = talk.next();
  EXPECT_EQ(answer->status, 408);
  EXPECT_TRUE(answer->close);
}

// The time counts from the first byte of a request, not from the connection's beginning.
TEST_F(Talk, EachRequestHasItsOwnTime) {
  talk.received(bytes("GET /no-such-file HTTP/1.1\r\nHost: a\r\n\r\n"), kStart);
  EXPECT_EQ(talk.next()->status, 404);
  talk.received(bytes("G"), kStart + kPatience + kPatience);
  EXPECT_FALSE(talk.next());
}

}  // namespace
}  // namespace leat::tools
