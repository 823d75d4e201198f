#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <leat/device/netlink_unsafe.hpp>
#include <leat/device/tap_unsafe.hpp>
#include <leat/device/vnet_header.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/gso.hpp>

namespace leat {
namespace {

constexpr std::uint32_t kMaxMtu = 65521;
constexpr std::uint32_t kMinMtu = 68;  // RFC 791 3.2
constexpr std::uint32_t kMaxIp = 65535;
constexpr std::uint32_t kLinkRoom = 18;  // Ethernet header and a VLAN tag
constexpr std::uint32_t kNormal = kChunkBytes[static_cast<std::size_t>(ChunkClass::normal)];
constexpr std::uint32_t kHeadArea = kNormal - kHeadroom;
// A frame of 64 KiB and its link header fit behind it, and a vnet header before it.
constexpr std::uint32_t kLandingHeadroom = 104;
static_assert(kChunkBytes[2] - kLandingHeadroom > kMaxIp + kLinkRoom && kLandingHeadroom >= VnetHeader::kLength);

// The C library's read and write are cancellation points, each for two locked instructions; and whoever is in here
// works on the stack for all: a thread that is cancelled goes on until that is done.
ssize_t read_uncancelled(int fd, void* to, std::size_t size) {
  return ::syscall(SYS_read, fd, to, size);
}
ssize_t write_uncancelled(int fd, const void* from, std::size_t size) {
  return ::syscall(SYS_write, fd, from, size);
}

// What the kernel says for ever of a descriptor whose interface was deleted.
constexpr int kGone = EBADFD;

// Such a descriptor is always ready: who waits for it would turn in circles. Its number now stands for something that
// never is, until the device ends.
int noted(int os_error, int fd) {
  if (os_error == kGone)
    if (const Descriptor silent(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); silent) ::dup3(silent.get(), fd, O_CLOEXEC);
  return os_error;
}

int open_again(const char* path) {
  int fd = -1;
  do fd = ::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  while (fd < 0 && errno == EINTR);
  return fd;
}

Unexpected problem(TapProblem& why, Errc code, int os_error, std::string_view cause, std::string_view fix) {
  why = {cause, fix, os_error};
  return fail(code);
}

Unexpected node_problem(TapProblem& why, int os_error) {
  switch (os_error) {
    case EACCES:
    case EPERM:
      return problem(why, Errc::permission_denied, os_error, "no permission to open /dev/net/tun",
                     "run as root, or let users at it, as root: chmod 666 /dev/net/tun");
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return problem(why, Errc::not_found, os_error, "/dev/net/tun is not there, or no driver is behind it",
                     "as root: modprobe tun; mkdir -p /dev/net && mknod -m 0666 /dev/net/tun c 10 200");
    default:
      return problem(why, Errc::io_error, os_error, "can't open /dev/net/tun", "see the kernel's log");
  }
}

Unexpected attach_problem(TapProblem& why, int os_error, std::string_view name) {
  switch (os_error) {
    case EPERM:
    case EACCES:
      return problem(why, Errc::permission_denied, os_error, "no permission to create or use the interface",
                     "run as root or inside `unshare -Urn`, or have one made: ip tuntap add NAME mode tap user $USER");
    case EBUSY:
      return problem(why, Errc::address_in_use, os_error, "the interface is in use by another program",
                     "end that program or choose another name");
    case EEXIST:
      return problem(why, Errc::already_exists, os_error, "an interface with that name exists", "choose another name");
    case EINVAL:
      if (netlink::interface_index(name))
        return problem(why, Errc::already_exists, os_error, "an interface with that name exists and is of another kind",
                       "choose another name, or the other one of TAP and TUN");
      return problem(why, Errc::invalid_argument, os_error, "the kernel does not accept the interface's name",
                     "use up to 15 letters and digits");
    default:
      return problem(why, Errc::io_error, os_error, "the kernel did not make the interface", "see the kernel's log");
  }
}

// Names the interface and sets its kind; tries without multi-queue and without vnet header when the kernel refuses
// them (an interface that was made without is attached as it is). Returns the flags that worked, or -errno.
int set_interface(int fd, ifreq& request, bool tap, bool vnet, bool multi_queue) {
  const int base = (tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI;
  int os_error = EINVAL;
  for (const int extra : {(vnet ? IFF_VNET_HDR : 0) | (multi_queue ? IFF_MULTI_QUEUE : 0),
                          (vnet ? IFF_VNET_HDR : 0) | (multi_queue ? 0 : IFF_MULTI_QUEUE), 0}) {
    request.ifr_flags = static_cast<short>(base | extra);
    if (::ioctl(fd, TUNSETIFF, &request) == 0) return base | extra;
    os_error = errno;
    if (os_error != EINVAL) break;
  }
  return -os_error;
}

}  // namespace

Tap::Spares& Tap::Spares::operator=(Spares&& o) noexcept {
  if (this != &o) {
    clear();
    pool_ = std::exchange(o.pool_, nullptr);
    chunks_ = o.chunks_;
    count_ = std::exchange(o.count_, 0);
  }
  return *this;
}

void Tap::Spares::clear() {
  while (count_ > 0) pool_->drop_ref(chunks_[--count_]);
}

void Tap::Spares::pop_front() {
  pool_->drop_ref(chunks_[0]);
  std::copy(chunks_.begin() + 1, chunks_.begin() + count_, chunks_.begin());
  --count_;
}

void Tap::Spares::prepare(PacketPool& pool) {
  pool_ = &pool;
  if (count_ > 0 && chunk_class(chunks_[0]) == ChunkClass::large) return;
  if (pool.chunks_free(ChunkClass::large) > 0) {
    const ChunkRef large = pool.take_chunk(ChunkClass::large);
    if (large != kNoChunk) {
      clear();
      chunks_[count_++] = large;
      return;
    }
  }
  // Not more than half of what is left.
  while (count_ < kMaxFragments && pool.chunks_free(ChunkClass::normal) > count_) {
    const ChunkRef normal = pool.take_chunk(ChunkClass::normal);
    if (normal == kNoChunk) return;
    chunks_[count_++] = normal;
  }
}

Result<Tap> Tap::attach(const TapOptions& options, TapInfo info, PacketPool& pool, TapProblem& why) {
  Tap tap;
  tap.pool_ = &pool;
  tap.options_ = options;
  tap.options_.name = {};
  tap.fd_ = Descriptor(open_again("/dev/net/tun"));
  if (!tap.fd_) return node_problem(why, errno);
  ifreq request{};
  std::memcpy(request.ifr_name, info.name.data(), info.name.size() - 1);
  const bool wants_vnet = options.vnet_header && (options.gso || options.checksum_offload);
  const int flags =
      set_interface(tap.fd_.get(), request, options.link == LinkType::ethernet, wants_vnet, options.multi_queue);
  if (flags < 0) return attach_problem(why, -flags, info.name_view());
  std::memcpy(info.name.data(), request.ifr_name, info.name.size() - 1);
  info.vnet_header = (flags & IFF_VNET_HDR) != 0;
  info.multi_queue = (flags & IFF_MULTI_QUEUE) != 0;
  tap.info_ = info;
  tap.negotiate(options);
  return Result<Tap>(std::move(tap));
}

// Agrees with the kernel on header length and offloads, each with a fall-back.
void Tap::negotiate(const TapOptions& options) {
  if (!info_.vnet_header) {
    // An interface that lasts would go on handing us what its last user could take.
    (void)::ioctl(fd_.get(), TUNSETOFFLOAD, 0UL);
    return;
  }
  int length = VnetHeader::kLength;
  if (::ioctl(fd_.get(), TUNSETVNETHDRSZ, &length) != 0) length = VnetHeader::kShortLength;
  vnet_length_ = static_cast<std::uint32_t>(length);
  // What the kernel may hand us. Super-segments need somewhere to go.
  const bool gso = options.gso && pool_->layout().chunks[static_cast<std::size_t>(ChunkClass::large)] > 0;
  const unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  std::array<unsigned, 4> tries{};
  std::size_t n = 0;
  if (options.checksum_offload && gso) {
    tries[n++] = tso | TUN_F_TSO_ECN;
    tries[n++] = tso;
  }
  if (options.checksum_offload) tries[n++] = TUN_F_CSUM;
  tries[n++] = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (::ioctl(fd_.get(), TUNSETOFFLOAD, static_cast<unsigned long>(tries[i])) != 0) continue;
    info_.checksum_offload = (tries[i] & TUN_F_CSUM) != 0;
    info_.tso4 = (tries[i] & TUN_F_TSO4) != 0;
    info_.tso6 = (tries[i] & TUN_F_TSO6) != 0;
    info_.tso_ecn = (tries[i] & TUN_F_TSO_ECN) != 0;
    break;
  }
}

// The kernel's side: MTU, address, state. What is not permitted stays as it is.
Result<void> Tap::configure(const TapOptions& options, TapProblem& why) {
  const std::string_view name = info_.name_view();
  if (options.mtu != 0) info_.mtu_set = netlink::set_mtu(name, options.mtu).has_value();
  if (options.queue_packets != 0) info_.queue_set = netlink::set_queue_length(name, options.queue_packets).has_value();
  const Result<std::uint32_t> mtu = netlink::get_mtu(name);
  if (!mtu) return problem(why, Errc::io_error, 0, "the new interface can't be asked for its MTU", "try again");
  if (options.up) info_.up = netlink::link_up(name).has_value();
  caps_ = {};
  caps_.link = options.link;
  caps_.mtu = *mtu;
  caps_.max_gso = info_.vnet_header && options.gso ? kMaxIp : 0;
  caps_.tx_checksum = info_.vnet_header && options.checksum_offload;
  caps_.rx_checksum = info_.checksum_offload;
  caps_.rx_merges = info_.tso4 || info_.tso6;
  caps_.gather = true;
  caps_.rx_level = true;
  if (options.link == LinkType::ethernet) {
    if (const Result<MacAddress> mac = netlink::get_mac(name)) info_.kernel_mac = *mac;
    caps_.mac = options.mac;
    if (caps_.mac.is_zero()) {
      caps_.mac = info_.kernel_mac;
      caps_.mac.bytes[0] = static_cast<std::uint8_t>((caps_.mac.bytes[0] | 2) & ~1);  // ours to give, one station
      caps_.mac.bytes[5] ^= 0x55;
    }
  }
  needs_spares_ = caps_.rx_merges || caps_.mtu + kLinkRoom > kHeadArea;
  const PoolLayout& layout = pool_->layout();
  const std::uint32_t chain = std::min<std::uint32_t>(layout.chunks[1], kMaxFragments) * kNormal;
  if (layout.chunks[2] == 0 && caps_.mtu + kLinkRoom > kHeadArea + chain) {
    return problem(why, Errc::invalid_argument, 0, "no chunk of the packet pool holds a frame of this MTU",
                   "choose a smaller MTU, or give the pool 64 KiB chunks");
  }
  return {};
}

Result<Tap> Tap::open(const TapOptions& options, PacketPool& pool, TapProblem* why) {
  TapProblem scratch;
  TapProblem& to = why != nullptr ? *why : scratch;
  TapInfo info;
  if (options.name.size() >= info.name.size()) {
    return problem(to, Errc::invalid_argument, 0, "the interface's name is longer than 15 characters",
                   "choose a shorter name");
  }
  if (options.mtu != 0 && (options.mtu < kMinMtu || options.mtu > kMaxMtu)) {
    return problem(to, Errc::invalid_argument, 0, "the MTU is out of range", "choose 68 to 65521");
  }
  std::memcpy(info.name.data(), options.name.data(), options.name.size());
  Result<Tap> tap = attach(options, info, pool, to);
  if (!tap) return tap;
  if (const Result<void> configured = tap->configure(options, to); !configured) return fail(configured.error());
  return tap;
}

Result<Tap> Tap::open_queue(PacketPool& pool, TapProblem* why) const {
  TapProblem scratch;
  TapProblem& to = why != nullptr ? *why : scratch;
  if (!info_.multi_queue) {
    return problem(to, Errc::not_supported, 0, "the interface has one queue only", "open it with multi_queue");
  }
  Result<Tap> tap = attach(options_, info_, pool, to);
  if (!tap) return tap;
  tap->caps_ = caps_;
  tap->needs_spares_ = needs_spares_;
  return tap;
}

// Has memory ready for one read. False: not even a small chunk is left.
bool Tap::prepare_buffers() {
  if (needs_spares_ && !landing_ && pool_->chunks_free(ChunkClass::large) > 0) {
    landing_ = pool_->allocate(ChunkClass::large, kLandingHeadroom);
    spares_.clear();
  }
  const bool small = head_ && chunk_class(head_.meta().chunk) == ChunkClass::small;
  if ((!head_ || small) && pool_->chunks_free(ChunkClass::normal) > 0) {
    if (Packet p = pool_->allocate(ChunkClass::normal)) head_ = std::move(p);
  }
  if (!head_) head_ = pool_->allocate(ChunkClass::small, kHeadroom, Priority::control);
  if (!head_) return false;
  if (needs_spares_ && !landing_) spares_.prepare(*pool_);
  return true;
}

// One read: bytes received, vnet header included, or -1. One buffer in one piece where there is memory for it, the vnet
// header in the headroom: a list of pieces costs the kernel as much as a small copy.
ssize_t Tap::read_frame(std::uint8_t* header, std::uint32_t& room) {
  ++counters_.rx_calls;
  if (landing_ || !needs_spares_) {
    Packet& to = landing_ ? landing_ : head_;
    const PacketMeta& m = to.meta();
    std::uint8_t* const at = pool_->data(m.chunk) + m.offset - vnet_length_;
    room = to.tailroom();
    const ssize_t got = read_uncancelled(fd_.get(), at, std::size_t{room} + vnet_length_);
    if (got > 0) std::memcpy(header, at, vnet_length_);
    return got;
  }
  std::array<iovec, 2 + kMaxFragments> parts;
  std::size_t count = 0;
  room = head_.tailroom();
  if (vnet_length_ > 0) parts[count++] = {header, vnet_length_};
  const PacketMeta& m = head_.meta();
  parts[count++] = {pool_->data(m.chunk) + m.offset, room};
  for (const ChunkRef c : spares_.chunks()) {
    const std::uint32_t bytes = kChunkBytes[static_cast<std::size_t>(chunk_class(c))];
    parts[count++] = {pool_->data(c), bytes};
    room += bytes;
  }
  return ::readv(fd_.get(), parts.data(), static_cast<int>(count));
}

// The packet that a read of `length` bytes (vnet header aside) left in the buffers. Empty when memory was missing.
Packet Tap::take_frame(std::uint32_t length) {
  if (landing_ && length > head_.tailroom()) {
    landing_.append(length);
    return std::move(landing_);
  }
  Packet p = std::move(head_);
  if (landing_) {
    // A small frame must not keep a large chunk busy.
    const PacketMeta& m = landing_.meta();
    std::memcpy(p.append(length).data(), pool_->data(m.chunk) + m.offset, length);
    return p;
  }
  const std::uint32_t in_head = std::min(length, p.tailroom());
  p.append(in_head);
  length -= in_head;
  while (length > 0) {
    if (spares_.chunks().empty()) return {};
    const ChunkRef chunk = spares_.chunks()[0];
    const std::uint32_t n = std::min(length, kChunkBytes[static_cast<std::size_t>(chunk_class(chunk))]);
    if (!p.add_fragment(chunk, 0, n)) return {};
    spares_.pop_front();
    length -= n;
  }
  return p;
}

std::size_t Tap::rx(PacketBatch& batch, Instant now) {
  std::size_t n = 0;
  // Frames that are dropped here take no room in the batch, but a turn.
  for (std::size_t reads = 0; reads < 2 * PacketBatch::kMax && !batch.full(); ++reads) {
    if (!prepare_buffers()) break;
    std::array<std::uint8_t, VnetHeader::kLength> header;
    std::uint32_t room = 0;
    const ssize_t got = read_frame(header.data(), room);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != EAGAIN) last_error_ = noted(errno, fd_.get());
    if (got <= static_cast<ssize_t>(vnet_length_)) break;
    const auto length = static_cast<std::uint32_t>(got) - vnet_length_;
    // A read that fills everything was cut off: no frame is larger than a 64 KiB chunk and what stands before it.
    Packet p = length < room ? take_frame(length) : Packet{};
    if (!p || (vnet_length_ > 0 && !apply_vnet_header(VnetHeader::parse(header), p, options_.link))) {
      ++counters_.rx_dropped;
      continue;
    }
    p.meta().time = now;
    ++counters_.rx_packets;
    counters_.rx_bytes += length;
    batch.push(std::move(p));
    ++n;
  }
  return n;
}

bool Tap::gone() const {
  return last_error_ == kGone;
}

Tap::Written Tap::write_packet(Packet& p) {
  if (gone()) return Written::refused;
  std::array<std::uint8_t, VnetHeader::kLength> header;
  std::array<iovec, 2 + kMaxFragments> parts;
  std::size_t count = 0;
  if (vnet_length_ > 0) {
    const auto v = make_vnet_header(p, options_.link, caps_.max_gso != 0);
    if (!v) return Written::refused;
    v->emit(header);
    if (p.headroom() < vnet_length_ || !p.exclusive()) parts[count++] = {header.data(), vnet_length_};
  } else if (wire_segments(p.meta()) > 1 || !complete_checksum(p, options_.link)) {
    return Written::refused;
  }
  const bool before = vnet_length_ > 0 && count == 0;  // the header stands in the headroom: one piece less
  p.for_each_piece(0, [&](ByteSpan piece) {
    if (!piece.empty()) parts[count++] = {const_cast<std::uint8_t*>(piece.data()), piece.size()};  // writev only reads
  });
  if (before) {
    const PacketMeta& m = p.meta();
    LEAT_ASSERT(m.head_length > 0);
    std::uint8_t* const at = pool_->data(m.chunk) + m.offset - vnet_length_;
    std::memcpy(at, header.data(), vnet_length_);
    parts[0] = {at, m.head_length + std::size_t{vnet_length_}};
  }
  std::array<std::uint8_t, kNormal> whole;  // a list costs the kernel more than this copy
  if (count > 1 && p.size() + vnet_length_ <= whole.size()) {
    std::size_t length = 0;
    for (const iovec& part : std::span{parts}.first(count)) {
      std::memcpy(whole.data() + length, part.iov_base, part.iov_len);
      length += part.iov_len;
    }
    parts[0] = {whole.data(), length};
    count = 1;
  }
  for (;;) {
    ++counters_.tx_calls;
    const ssize_t written = count == 1 ? write_uncancelled(fd_.get(), parts[0].iov_base, parts[0].iov_len)
                                       : ::writev(fd_.get(), parts.data(), static_cast<int>(count));
    if (written >= 0) return Written::yes;
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
      case ENOBUFS:
      case ENOMEM:
        return Written::full;
      default:
        last_error_ = noted(errno, fd_.get());
        return Written::refused;
    }
  }
}

std::size_t Tap::tx(PacketBatch& batch, Instant) {
  std::size_t n = 0;
  for (; n < batch.size(); ++n) {
    const std::uint32_t bytes = batch[n].size();
    const Written written = write_packet(batch[n]);
    if (written == Written::full) {
      ++counters_.tx_full;
      break;
    }
    if (written == Written::refused) {
      ++counters_.tx_dropped;
      continue;
    }
    ++counters_.tx_packets;
    counters_.tx_bytes += bytes;
  }
  batch.pop_front(n);
  return n;
}

}  // namespace leat
