#include <leat/base/text_writer.hpp>
#include <leat/device/wrap/tracer.hpp>
#include <leat/wire/pretty_print.hpp>

namespace leat {
namespace {

constexpr std::size_t kLineLength = wire::kPrettyLength + 96;

void put_seconds(TextWriter& text, Instant now) {
  const std::int64_t us = now.count_us();
  text.decimal(static_cast<std::uint64_t>(us / 1'000'000));
  text.put('.');
  for (std::int64_t digit = 100'000; digit > 0; digit /= 10) text.put(static_cast<char>('0' + us / digit % 10));
}

}  // namespace

void Tracer::trace(const Packet& p, std::string_view direction, Instant now) {
  std::array<char, kLineLength> line;
  TextWriter text{line};
  put_seconds(text, now);
  for (const std::string_view word : {name_, direction}) {
    text.put(' ');
    text.put(word);
  }
  text.put(' ');
  std::array<char, wire::kPrettyLength> packet;
  const std::size_t length = inner_->caps().link == LinkType::ethernet ? wire::print_frame(p.head(), p.size(), packet)
                                                                       : wire::print_ip(p.head(), p.size(), packet);
  text.put(std::string_view{packet.data(), length});
  if (p.meta().gso_size > 0) {
    text.put(", segments of ");
    text.decimal(p.meta().gso_size);
  }
  sink_->line(text.view());
}

std::size_t Tracer::rx(PacketBatch& batch, Instant now) {
  const std::size_t before = batch.size();
  const std::size_t n = inner_->rx(batch, now);
  for (std::size_t i = before; i < before + n; ++i) trace(batch[i], "in", now);
  return n;
}

std::size_t Tracer::tx(PacketBatch& batch, Instant now) {
  for (std::size_t i = seen_.seen(batch); i < batch.size(); ++i) trace(batch[i], "out", now);
  const std::size_t n = inner_->tx(batch, now);
  seen_.left(batch);
  return n;
}

}  // namespace leat
