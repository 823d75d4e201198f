#include "http_fetch.hpp"

#include <algorithm>
#include <leat/base/error_table.hpp>

#include "http_message.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {
constexpr std::size_t kBuffer = std::size_t{256} << 10;
}

HttpFetch::HttpFetch(Stack& stack, const Endpoint& server, const std::string& path, Sink sink)
    : request_(cat("GET ", percent_encode_path(path), " HTTP/1.1\r\nHost: ", server,
                   "\r\nUser-Agent: leat\r\nConnection: close\r\n\r\n")),
      sink_(std::move(sink)),
      buffer_(kBuffer) {
  auto made = StreamConnection::connect(stack, server, [this](StreamConnection& c) { on_event(c); });
  if (made) {
    connection_ = std::move(*made);
  } else {
    done_ = true;
    problem_ = error_info(made.error()).sentence;
  }
}

void HttpFetch::end(StreamConnection& c, const std::string& problem) {
  done_ = true;
  problem_ = problem;
  c.close();
}

void HttpFetch::on_event(StreamConnection& c) {
  if (done_) return;
  if (!c.is_open()) return end(c, std::string(error_info(c.error().value_or(Errc::connection_reset)).sentence));
  if (!request_.empty()) {
    const std::vector<std::uint8_t> bytes(request_.begin(), request_.end());
    request_.clear();
    c.write(bytes);
  }
  while (!done_) {
    const IoCount got = c.read(buffer_);
    if (got.count == 0) {
      if (got.status != IoStatus::end_of_stream) return;
      const bool whole = in_body_ && (length_ == UINT64_MAX || received_ == length_);
      return end(c, whole ? "" : "the server closed too early");
    }
    ByteSpan bytes{buffer_.data(), got.count};
    if (!in_body_) {
      head_.append(bytes.begin(), bytes.end());
      std::size_t head_bytes = 0;
      const auto response = parse_response_head(head_, head_bytes);
      if (!response) {
        if (head_.size() > HttpRequestReader::kMaxHead) return end(c, "the server sends no HTTP");
        continue;
      }
      status_ = response->status;
      if (response->content_length) length_ = *response->content_length;
      in_body_ = true;
      bytes = bytes.last(head_.size() - head_bytes);
    }
    bytes = bytes.first(std::min<std::size_t>(bytes.size(), length_ - received_));
    received_ += bytes.size();
    if (sink_ && !bytes.empty()) sink_(bytes);
    if (received_ == length_) return end(c, "");
  }
}

}  // namespace leat::tools
