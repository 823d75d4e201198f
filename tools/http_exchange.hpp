#pragma once
// HttpExchange: one HTTP connection over a stream that never blocks: requests one after the other, each answered before
// the next is looked at. Stream is anything with
//
//   IoCount read(MutableByteSpan)            // count 0: nothing for now, or end_of_stream
//   std::size_t try_write(ByteSpan)          // what it takes now
//   void shutdown_write(); void close(); void abort();
//
//   HttpExchange exchange(site, scratch, peer, Duration::s(60));
//   exchange.run(stream, now);               // whenever the stream can be read or written again
//
// Threading: one user.

#include <leat/base/result.hpp>

#include "http_talk.hpp"

namespace leat::tools {

class HttpExchange {
 public:
  // `scratch` may be shared by all exchanges of a thread; at least HttpRequestReader::kMaxHead bytes.
  HttpExchange(HttpSite& site, MutableByteSpan scratch, const Endpoint& from, Duration patience)
      : site_(&site), scratch_(scratch), talk_(site, from, patience) {}

  template <class Stream>
  void run(Stream& s, Instant now) {
    for (;;) {
      if (!send(s)) return;  // the rest waits until the client takes more
      if (answer_.close) return drain(s);
      if (!receive(s, now)) return;
    }
  }

 private:
  // Sends what is under way. False when the connection takes no more for now.
  template <class Stream>
  bool send(Stream& s) {
    for (;;) {
      const auto piece = HttpSite::next(answer_, scratch_);
      if (!piece) {
        s.abort();
        return false;
      }
      if (piece->empty()) return true;
      const std::size_t sent = s.try_write(*piece);
      site_->sent(answer_, sent);
      if (sent < piece->size()) return false;
    }
  }

  // Reads until there is a request, and takes its answer. False when there is nothing more for now, or ever.
  template <class Stream>
  bool receive(Stream& s, Instant now) {
    for (;;) {
      if (auto answer = talk_.next()) {
        answer_ = std::move(*answer);
        return true;
      }
      const IoCount got = s.read(scratch_.first(HttpRequestReader::kMaxHead));
      if (got.count > 0) {
        talk_.received(scratch_.first(got.count), now);
      } else {
        if (got.status == IoStatus::end_of_stream) s.close();
        return false;
      }
    }
  }

  // RFC 9112 9.6: after the last answer, our FIN; then the client's bytes are read and dropped until its own, so that
  // no RST takes the answer from it.
  template <class Stream>
  void drain(Stream& s) {
    s.shutdown_write();
    for (;;) {
      const IoCount got = s.read(scratch_);
      if (got.status == IoStatus::end_of_stream) return s.close();
      if (got.count == 0) return;
    }
  }

  HttpSite* site_;
  MutableByteSpan scratch_;
  HttpTalk talk_;
  HttpAnswer answer_;
};

}  // namespace leat::tools
