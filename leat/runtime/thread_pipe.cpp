#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <leat/device/received.hpp>
#include <leat/runtime/thread_pipe.hpp>

namespace leat {
namespace {

constexpr Duration kPatience = Duration::ms(20);  // as MemoryPipe's
constexpr Duration kMemoryRetry = Duration::ms(1);

// Before the bytes of a frame: what its sender knows of them.
struct Notes {
  std::uint16_t gso_size = 0;
  std::uint8_t gso_type = 0;
  std::uint8_t checksum = 0;
};
constexpr std::uint32_t kNotes = sizeof(Notes);
static_assert(kNotes == 4);

constexpr std::uint32_t kPiece = kChunkBytes[static_cast<std::size_t>(ChunkClass::normal)];

// Memory for a frame: one chunk, or as many ordinary ones as it takes.
Packet receive_into(PacketPool& pool, ByteSpan bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  Packet p = pool.allocate_for(size);
  if (!p && size <= kChunkBytes[0] - kHeadroom) p = pool.allocate(ChunkClass::small, kHeadroom, Priority::control);
  if (p) {
    std::ranges::copy(bytes, p.append(size).begin());
    return p;
  }
  if (size <= kPiece - kHeadroom || size > (1U + kMaxFragments) * kPiece - kHeadroom) return {};
  p = pool.allocate(ChunkClass::normal);
  if (!p) return {};
  std::uint32_t at = kPiece - kHeadroom;
  std::ranges::copy(bytes.first(at), p.append(at).begin());
  while (at < size) {
    const ChunkRef chunk = pool.take_chunk(ChunkClass::normal);
    if (chunk == kNoChunk) return {};
    const std::uint32_t n = std::min(kPiece, size - at);
    std::copy_n(bytes.begin() + at, n, pool.data(chunk));
    const bool added = p.add_fragment(chunk, 0, n);
    pool.drop_ref(chunk);
    if (!added) return {};
    at += n;
  }
  return p;
}

}  // namespace

ThreadPipe::ThreadPipe(const Options& o) {
  const auto link = static_cast<std::uint32_t>(link_header_length(o.caps.link));
  const sync::FrameRing::Layout layout{.slots = o.slots,
                                       .frame_bytes = kNotes + link + std::max(o.caps.mtu, o.caps.max_gso)};
  memory_ = MemoryMap::reserve(2 * MemoryMap::bytes_for<std::uint8_t>(layout.bytes_needed())).value();
  for (std::size_t i = 0; i < 2; ++i) {
    const MutableByteSpan region = memory_.take<std::uint8_t>(layout.bytes_needed());
    ends_[i].out_ = sync::FrameRing(region, layout, true);
    ends_[1 - i].in_ = sync::FrameRing(region, layout, false);
    ends_[i].peer_ = &ends_[1 - i];
    ends_[i].caps_ = o.caps;
    ends_[i].caps_.mac = o.mac[i];
    ends_[i].bell_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    LEAT_ASSERT(ends_[i].bell_);
  }
}

void ThreadPipe::End::ring() {
  const std::uint64_t one = 1;
  (void)!::write(bell_.get(), &one, sizeof one);
  if (waker_) waker_();
}

void ThreadPipe::End::after_sleep() {
  in_.after_sleep();
  std::uint64_t count = 0;
  (void)!::read(bell_.get(), &count, sizeof count);
}

std::size_t ThreadPipe::Device::tx(PacketBatch& batch, Instant) {
  std::size_t n = 0;
  for (; n < batch.size(); ++n) {
    Packet& p = batch[n];
    if (!fits(p, end_->caps_)) {
      ++counters_.tx_dropped;
      p.reset();
      continue;
    }
    const MutableByteSpan to = end_->out_.reserve();
    if (to.empty()) {
      ++counters_.tx_full;
      break;
    }
    const PacketMeta& m = p.meta();
    const Notes notes{m.gso_size, static_cast<std::uint8_t>(m.gso_type), static_cast<std::uint8_t>(m.checksum)};
    std::memcpy(to.data(), &notes, kNotes);
    const std::uint32_t size = p.size();
    p.copy_out(0, to.subspan(kNotes, size));
    end_->out_.publish(kNotes + size);
    p.reset();
    ++counters_.tx_packets;
    counters_.tx_bytes += size;
  }
  batch.pop_front(n);
  if (n > 0 && end_->out_.must_ring()) end_->peer_->ring();
  return n;
}

std::size_t ThreadPipe::Device::rx(PacketBatch& batch, Instant now) {
  std::size_t n = 0;
  retry_ = Instant::never();
  while (!batch.full()) {
    const auto frame = end_->in_.front();
    if (!frame) break;
    Notes notes;
    LEAT_ASSERT(frame->size() >= kNotes);  // both sides are ours
    std::memcpy(&notes, frame->data(), kNotes);
    const ByteSpan bytes = frame->subspan(kNotes);
    Packet p = receive_into(*pool_, bytes);
    if (!p) {
      starved_since_ = earlier(starved_since_, now);
      if (can_ever_copy(static_cast<std::uint32_t>(bytes.size()), *pool_) && now - starved_since_ < kPatience) {
        retry_ = now + kMemoryRetry;
        break;
      }
      ++counters_.rx_dropped;
      end_->in_.release();
      continue;
    }
    starved_since_ = Instant::never();
    end_->in_.release();
    PacketMeta& m = p.meta();
    m.gso_size = notes.gso_size;
    m.gso_type = static_cast<GsoType>(notes.gso_type);
    m.checksum = static_cast<ChecksumState>(notes.checksum);
    mark_received(p, now);
    ++counters_.rx_packets;
    counters_.rx_bytes += p.size();
    batch.push(std::move(p));
    ++n;
  }
  return n;
}

bool ThreadPipe::Raw::send(ByteSpan packet) {
  const auto link = static_cast<std::size_t>(link_header_length(end_->caps_.link));
  if (packet.size() < link || packet.size() - link > end_->caps_.mtu) return false;
  const MutableByteSpan to = end_->out_.reserve();
  if (to.empty()) return false;
  const Notes notes;
  std::memcpy(to.data(), &notes, kNotes);
  std::ranges::copy(packet, to.begin() + kNotes);
  end_->out_.publish(kNotes + static_cast<std::uint32_t>(packet.size()));
  if (end_->out_.must_ring()) end_->peer_->ring();
  return true;
}

std::optional<std::size_t> ThreadPipe::Raw::recv(MutableByteSpan to) {
  const auto frame = end_->in_.front();
  if (!frame) return std::nullopt;
  const ByteSpan bytes = frame->subspan(std::min<std::size_t>(kNotes, frame->size()));
  const std::size_t n = std::min(to.size(), bytes.size());
  std::copy_n(bytes.begin(), n, to.begin());
  end_->in_.release();
  return n;
}

bool ThreadPipe::Raw::wait(Duration at_most) {
  bool ready = !end_->before_sleep();
  if (!ready) {
    pollfd fd{end_->poll_fd(), POLLIN, 0};
    const timespec limit{at_most.count_s(), at_most.count_ns() % 1'000'000'000};
    ready = ::ppoll(&fd, 1, at_most == Duration::max() ? nullptr : &limit, nullptr) > 0;
  }
  end_->after_sleep();
  return ready;
}

}  // namespace leat
