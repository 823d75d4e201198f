#include "pinger.hpp"

#include <algorithm>
#include <leat/base/error_table.hpp>
#include <leat/runtime/clock.hpp>

#include "failure.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::size_t kHeader = 8;
constexpr std::size_t kMaxOutstanding = 4096;  // replies later than so many requests are nobody's
constexpr std::uint8_t kEcho4 = 8, kReply4 = 0, kEcho6 = 128, kReply6 = 129;

std::string text_of(Errc error) {
  return std::string(error_info(error).sentence);
}

}  // namespace

Pinger::Pinger(Stack& stack, Runner& runner, const PingOptions& options, PingObserver observer)
    : stack_(stack), runner_(runner), options_(options), observer_(std::move(observer)) {
  const auto handle = stack.open_icmp();
  if (!handle) throw Failure(cat("can't open a ping socket: ", text_of(handle.error())), "");
  handle_ = *handle;
  sink_ = {[](void* self, std::uint64_t, Handle, Ready, Ready events) { static_cast<Pinger*>(self)->on_event(events); },
           this};
  Result<void> r;
  if (options.ttl != 0) r = stack.set_option(handle_, OptionId::ip_default_ttl, options.ttl);
  if (r) r = stack.set_sink(handle_, &sink_, 0, kAllReady);
  if (r) r = stack.connect(handle_, {options.to, Port{}});
  if (!r) {
    (void)stack.close(handle_);
    if (r.error() == Errc::permission_denied)
      throw Failure(cat("can't ping ", options.to, ": it is a broadcast address"), "give a unicast address");
    throw Failure(cat("can't ping ", options.to, ": ", text_of(r.error())),
                  "give the stack an address or gateway that reaches it");
  }
  send();
}

Pinger::~Pinger() {
  runner_.cancel(timer_);
  (void)stack_.close(handle_);
}

void Pinger::send() {
  std::vector<std::uint8_t> message(kHeader + options_.payload);
  message[0] = options_.to.is_v4() ? kEcho4 : kEcho6;
  store_be16(&message[6], next_);
  for (std::size_t i = kHeader; i < message.size(); ++i) message[i] = static_cast<std::uint8_t>(i);
  if (sent_at_.size() == kMaxOutstanding) sent_at_.erase(sent_at_.begin());
  sent_at_[next_] = monotonic_now();
  if (const auto r = stack_.try_send(handle_, message); !r) {
    if (r.error() == Errc::message_too_long && totals_.sent == 0) {
      (void)stack_.close(handle_);
      throw Failure(cat("can't send ", message.size(), " bytes of ICMP: ", text_of(r.error())),
                    "take a smaller --size or a larger --mtu");
    }
    note(cat("can't send: ", text_of(r.error())));
  }
  ++totals_.sent;
  ++next_;
  if (options_.count == 0 || totals_.sent < options_.count) {
    timer_ = runner_.after(options_.interval, [this] { send(); });
  } else {
    timer_ = runner_.after(options_.wait, [this] { done_ = true; });
  }
}

void Pinger::on_event(Ready events) {
  if (any(events & Ready::error))
    if (const auto error = stack_.take_error(handle_)) note(cat(options_.to, ": ", text_of(*error)));
  std::vector<std::uint8_t> message(65536);
  for (;;) {
    Message info;
    const auto got = stack_.try_receive_from(handle_, message, info);
    if (!got || got->status != IoStatus::done) return;
    if (got->count < kHeader || message[0] != (options_.to.is_v4() ? kReply4 : kReply6)) continue;
    const std::uint16_t sequence = load_be16(&message[6]);
    const auto at = sent_at_.find(sequence);
    if (at == sent_at_.end()) continue;  // a second reply, or nobody's
    const Duration time = monotonic_now() - at->second;
    sent_at_.erase(at);
    totals_.least = totals_.received == 0 ? time : std::min(totals_.least, time);
    totals_.most = std::max(totals_.most, time);
    totals_.sum += time;
    ++totals_.received;
    if (observer_.reply) observer_.reply({info.from.address, sequence, info.ttl, got->count, time});
    if (options_.count != 0 && totals_.received == options_.count) done_ = true;
  }
}

void Pinger::note(const std::string& text) {
  totals_.last_problem = text;
  if (observer_.problem) observer_.problem(text);
}

}  // namespace leat::tools
