// What a client may send, whole and in pieces, and what must be refused.

#include "http_message.hpp"

#include <gtest/gtest.h>

#include "text.hpp"

namespace leat::tools {
namespace {

std::vector<std::uint8_t> bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

struct Outcome {
  HttpRequestReader::State state;
  HttpRequest request;
  int status;
};
Outcome read(std::string_view text) {
  HttpRequestReader reader;
  reader.append(bytes(text));
  Outcome o{};
  o.state = reader.next(o.request);
  o.status = reader.status();
  return o;
}

constexpr std::string_view kGet =
    "GET /a%20b/c.html?x=1 HTTP/1.1\r\nHost: leat\r\nRange: bytes=1-2\r\nConnection: close\r\n\r\n";

TEST(HttpRequest, IsRead) {
  const Outcome o = read(kGet);
  ASSERT_EQ(o.state, HttpRequestReader::State::complete);
  EXPECT_EQ(o.request.method, "GET");
  EXPECT_EQ(o.request.target, "/a%20b/c.html?x=1");
  EXPECT_EQ(*o.request.header("range"), "bytes=1-2");
  EXPECT_FALSE(o.request.keep_alive());
}

TEST(HttpRequest, ComesInAnyPiecesAndSeveralAtOnce) {
  const std::string two = cat(kGet, "HEAD / HTTP/1.0\r\n\r\n");
  for (std::size_t piece = 1; piece <= two.size(); ++piece) {
    HttpRequestReader reader;
    std::vector<std::string> methods;
    for (std::size_t at = 0; at < two.size(); at += piece) {
      reader.append(bytes(std::string_view(two).substr(at, piece)));
      HttpRequest request;
      while (reader.next(request) == HttpRequestReader::State::complete) methods.push_back(request.method);
    }
    ASSERT_EQ(methods, (std::vector<std::string>{"GET", "HEAD"})) << "in pieces of " << piece;
    ASSERT_EQ(reader.buffered(), 0U);
  }
}

TEST(HttpRequest, WhatIsNotClearIsRefused) {
  const auto refused = [](std::string_view text) {
    const Outcome o = read(text);
    return o.state == HttpRequestReader::State::bad ? o.status : 0;
  };
  EXPECT_EQ(refused("GET / HTTP/1.1\r\n\r\n"), 400) << "no Host";
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET  HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\nHost: a\n\n"), 400) << "line ends without CR, and no wait for more";
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400);
  EXPECT_EQ(refused("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(refused("GET / HTTX/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400) << "blank before the colon";
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"), 400);
  EXPECT_EQ(refused(cat("GET /", std::string(20000, 'x'))), 414);
  EXPECT_EQ(refused(cat("GET / HTTP/1.1\r\nHost: a\r\nX: ", std::string(20000, 'x'))), 431);
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 200; ++i) many += "x: y\r\n";
  EXPECT_EQ(refused(many + "\r\n"), 431);
}

TEST(HttpRequest, KeepsTheConnectionByVersionAndHeader) {
  const auto keeps = [](std::string_view text) { return read(text).request.keep_alive(); };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(HttpPath, StaysBelowItsRoot) {
  EXPECT_EQ(file_path_of("/"), "");
  EXPECT_EQ(file_path_of("/a/b.txt?q#f"), "a/b.txt");
  EXPECT_EQ(file_path_of("/a%2Fb%20c"), "a/b c");
  EXPECT_EQ(file_path_of("//a/./b/"), "a/b/");
  EXPECT_EQ(file_path_of("http://host/x"), "x");
  EXPECT_EQ(file_path_of("http://host"), "");
  EXPECT_EQ(file_path_of("/sub/../index.html"), "index.html");
  EXPECT_EQ(file_path_of("/a/b/%2E./c"), "a/c");
  EXPECT_EQ(file_path_of("/a/b/.."), "a/");
  EXPECT_EQ(file_path_of("/a/.."), "");
  for (const char* wrong :
       {"/../etc/passwd", "/a/../../b", "/%2e%2e/x", "/a/%2E./../b", "/a%00b", "/%zz", "/%2", "a/b", "*", ""})
    EXPECT_FALSE(file_path_of(wrong)) << wrong;
}

TEST(HttpRange, OneRangeOfAFile) {
  ByteRange r;
  const auto of = [&](std::string_view text, std::uint64_t size) { return parse_range(text, size, r); };
  ASSERT_EQ(of("bytes=0-0", 10), RangeAnswer::part);
  EXPECT_EQ(r.last, 0U);
  ASSERT_EQ(of("bytes=5-", 10), RangeAnswer::part);
  EXPECT_EQ(r.first, 5U);
  EXPECT_EQ(r.last, 9U);
  ASSERT_EQ(of("bytes=-3", 10), RangeAnswer::part);
  EXPECT_EQ(r.first, 7U);
  ASSERT_EQ(of("Bytes=2-100", 10), RangeAnswer::part);
  EXPECT_EQ(r.last, 9U);
  EXPECT_EQ(of("bytes=10-", 10), RangeAnswer::unsatisfiable);
  EXPECT_EQ(of("bytes=-0", 10), RangeAnswer::unsatisfiable);
  EXPECT_EQ(of("bytes=0-", 0), RangeAnswer::unsatisfiable);
  for (const char* whole : {"bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=", "bytes=-"})
    EXPECT_EQ(of(whole, 10), RangeAnswer::whole) << whole;
}

TEST(HttpText, DatesTypesAndEscapes) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");  // the example of RFC 9110 5.6.7
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_FALSE(parse_http_date("yesterday"));
  for (const char* wrong : {
           "Mon, 06 Nov 1994 08:49:37 GMT",
           "sun, 06 Nov 1994 08:49:37 GMT",
           "Sun; 06 Nov 1994 08:49:37 GMT",
           "Sun, 06 Nov 1994 08:49:37 CET",
           "Sun, 06 nov 1994 08:49:37 GMT",
           "Sun, 06 Nov 1994 08:49:37 GMT ",
           "Sun, +6 Nov 1994 08:49:37 GMT",
           "Sun, 06 Nov 1994 24:49:37 GMT",
           "Wed, 30 Feb 1994 08:49:37 GMT",
           "Sun, 06 Nov 1994 08:60:37 GMT",
           "Sun, 06 Nov 1994  8:49:37 GMT",
           "Sun, 06 Nov 1994 08:49:37 GM",
       })
    EXPECT_FALSE(parse_http_date(wrong)) << wrong;
  for (const std::int64_t date : {0LL, 951782400LL, 1709164800LL, 4102444799LL, 253402300799LL})  // two 29 February
    EXPECT_EQ(parse_http_date(http_date(date)), date) << http_date(date);
  EXPECT_EQ(content_type_of("a/b.HTML"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of("none"), "application/octet-stream");
  EXPECT_EQ(html_escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_EQ(percent_encode_path("a b/\xc3\xa4%"), "a%20b/%C3%A4%25");
}

TEST(HttpResponse, HeadIsRead) {
  std::size_t head = 0;
  EXPECT_FALSE(parse_response_head("HTTP/1.1 200 OK\r\nContent-Le", head));
  const auto r = parse_response_head("HTTP/1.1 206 Partial Content\r\ncontent-length: 42\r\n\r\nbody", head);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status, 206);
  EXPECT_EQ(r->content_length, 42U);
  EXPECT_EQ(head, 52U);
}

}  // namespace
}  // namespace leat::tools
