#pragma once
// HttpTalk: one connection's requests as answers of a site, without I/O, for every form of reading and writing.
//
//   HttpTalk talk(site, peer, Duration::s(60));
//   if (auto answer = talk.next()) send it, and end the connection if answer->close
//   else talk.received(what comes next, now)      // at most HttpRequestReader::kMaxHead bytes
//
// Threading: one user.

#include <leat/base/time.hpp>

#include "http_message.hpp"
#include "http_site.hpp"

namespace leat::tools {

class HttpTalk {
 public:
  // Who takes longer than `patience` for the head of a request gets an answer that ends the connection.
  HttpTalk(HttpSite& site, const Endpoint& from, Duration patience) : site_(&site), from_(from), patience_(patience) {}

  // To the next request; nothing: it is not complete.
  [[nodiscard]] std::optional<HttpAnswer> next() {
    if (late_) return site_->bad_request(408);
    HttpRequest request;
    switch (reader_.next(request)) {
      case HttpRequestReader::State::complete:
        return site_->answer(request, from_);
      case HttpRequestReader::State::bad:
        return site_->bad_request(reader_.status());
      case HttpRequestReader::State::incomplete:
        break;
    }
    return std::nullopt;
  }
  void received(ByteSpan bytes, Instant now) {
    if (reader_.buffered() == 0) began_ = now;
    late_ = now - began_ > patience_;  // byte by byte, to keep us waiting
    if (!late_) reader_.append(bytes);
  }

 private:
  HttpSite* site_;
  Endpoint from_;
  Duration patience_;
  HttpRequestReader reader_;
  Instant began_;  // when the first byte of the next request came
  bool late_ = false;
};

}  // namespace leat::tools
