#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <leat/device/shm/shm_unsafe.hpp>

namespace leat {
namespace {

constexpr std::uint32_t kMagic = 0x4c454154;  // "LEAT"
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kMaxFrames = 65536;
constexpr std::uint32_t kLinkHeader = 14;
constexpr int kGreetingMs = 5000;
constexpr Duration kLookAgain = Duration::ms(20);

// What the first side tells the second, with the memory. Every later message on the socket, of one byte, wakes who
// sleeps.
struct Hello {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t mtu = 0;
  std::uint32_t frames = 0;
};
constexpr std::size_t kPassed = 1;
constexpr std::size_t kLooksAtOnce = std::size_t{2} * PacketBatch::kMax;  // frames, those that are dropped included

sync::FrameRing::Layout layout_of(const ShmOptions& o) {
  return {.slots = o.frames, .frame_bytes = o.mtu + kLinkHeader};
}
std::size_t region_bytes(const ShmOptions& o) {
  return 2 * layout_of(o).bytes_needed();
}
bool sizes_fit(const ShmOptions& o) {
  return o.mtu >= 68 && o.mtu <= 65535 && std::has_single_bit(o.frames) && o.frames <= kMaxFrames;
}

ShmProblem problem(std::string_view cause, std::string_view fix) {
  return {cause, fix, errno};
}

// Where the name stands among abstract sockets: gone with the last descriptor, and one name space per network
// namespace.
bool address_of(std::string_view name, sockaddr_un& to, socklen_t& length) {
  constexpr std::string_view kPrefix = "leat-shm-";
  to = {};
  to.sun_family = AF_UNIX;
  if (name.empty() || 1 + kPrefix.size() + name.size() > sizeof to.sun_path) return false;
  std::memcpy(to.sun_path + 1, kPrefix.data(), kPrefix.size());
  std::memcpy(to.sun_path + 1 + kPrefix.size(), name.data(), name.size());
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + kPrefix.size() + name.size());
  return true;
}

MacAddress random_mac() {
  MacAddress mac{{2, 0x4c, 0x45}};
  std::array<std::uint8_t, 3> tail{};
  [[maybe_unused]] const ssize_t got = ::getrandom(tail.data(), tail.size(), 0);
  std::ranges::copy(tail, mac.bytes.begin() + 3);
  return mac;
}

bool same_user(int socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == ::geteuid();
}

Descriptor make_memory(std::size_t bytes) {
  Descriptor fd{::memfd_create("leat-shm", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return {};
  return fd;
}

// The other side can't take the memory away under us.
bool is_sealed(int fd, std::size_t bytes) {
  struct stat s {};
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && ::fstat(fd, &s) == 0 && s.st_size >= static_cast<off_t>(bytes);
}

bool send_hello(int socket, const Hello& hello, const std::array<int, kPassed>& fds) {
  iovec part{.iov_base = const_cast<Hello*>(&hello), .iov_len = sizeof hello};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fds)> control{};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  cmsghdr* const c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(c), fds.data(), sizeof fds);
  return ::sendmsg(socket, &m, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof hello);
}

enum class Received : std::uint8_t { hello, nothing, ended, nonsense };

Received receive_hello(int socket, Hello& hello, std::array<Descriptor, kPassed>& to) {
  iovec part{.iov_base = &hello, .iov_len = sizeof hello};
  std::array<int, kPassed> fds{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fds)> control{};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Received::nothing;
  if (got <= 0) return Received::ended;
  const cmsghdr* const c = CMSG_FIRSTHDR(&m);
  if (c == nullptr || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) return Received::nonsense;
  const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  std::memcpy(fds.data(), CMSG_DATA(c), std::min(count, kPassed) * sizeof(int));
  for (std::size_t i = 0; i < std::min(count, kPassed); ++i) to[i] = Descriptor{fds[i]};
  return got == static_cast<ssize_t>(sizeof hello) && count == kPassed && hello.magic == kMagic &&
                 hello.version == kVersion
             ? Received::hello
             : Received::nonsense;
}

bool watch(int epoll, int fd) {
  epoll_event e{};
  e.events = EPOLLIN | EPOLLRDHUP;
  e.data.fd = fd;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

}  // namespace

class Shm::Map {
 public:
  Map(void* base, std::size_t size) : base_(base), size_(size) {}
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;
  ~Map() { ::munmap(base_, size_); }
  [[nodiscard]] MutableByteSpan bytes() const { return {static_cast<std::uint8_t*>(base_), size_}; }

 private:
  void* base_;
  std::size_t size_;
};

// --- opening ---------------------------------------------------------------------------------------------------------

// Both rings: side 0 writes the first and reads the second.
bool Shm::meet(Descriptor&& memory, std::size_t side, const ShmOptions& o, bool create) {
  const std::size_t bytes = region_bytes(o);
  void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (base == MAP_FAILED) return false;
  map_ = std::make_shared<Map>(base, bytes);
  const auto layout = layout_of(o);
  const std::size_t half = layout.bytes_needed();
  const MutableByteSpan first = map_->bytes().first(half), second = map_->bytes().subspan(half);
  out_ = sync::FrameRing{side == 0 ? first : second, layout, create};
  in_ = sync::FrameRing{side == 0 ? second : first, layout, create};
  options_.mtu = o.mtu;
  options_.frames = o.frames;
  caps_.link = LinkType::ethernet;
  caps_.mtu = o.mtu;
  caps_.gather = true;       // the copy into the ring gathers
  caps_.mac = options_.mac;  // which stays, whichever side this becomes: the stack has it already
  return true;
}

Result<std::unique_ptr<ShmPair>> ShmPair::make(const ShmOptions& o, PacketPool& pool_a, PacketPool& pool_b) {
  if (!sizes_fit(o)) return fail(Errc::invalid_argument);
  std::unique_ptr<ShmPair> pair(new ShmPair());
  Descriptor memory = make_memory(region_bytes(o));
  if (!memory) return fail(Errc::io_error);
  for (Shm* s : {&pair->a_, &pair->b_}) {
    s->bell_ = Descriptor{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (!s->bell_) return fail(Errc::io_error);
  }
  pair->a_.options_.mac = MacAddress{{2, 0x4c, 0x45, 0, 0, 1}};
  pair->b_.options_.mac = MacAddress{{2, 0x4c, 0x45, 0, 0, 2}};
  pair->a_.pool_ = &pool_a;
  pair->b_.pool_ = &pool_b;
  pair->a_.their_bell_ = Descriptor{::fcntl(pair->b_.bell_.get(), F_DUPFD_CLOEXEC, 0)};
  pair->b_.their_bell_ = Descriptor{::fcntl(pair->a_.bell_.get(), F_DUPFD_CLOEXEC, 0)};
  Descriptor again{::fcntl(memory.get(), F_DUPFD_CLOEXEC, 0)};
  if (!pair->a_.their_bell_ || !pair->b_.their_bell_ || !again || !pair->a_.meet(std::move(memory), 0, o, true) ||
      !pair->b_.meet(std::move(again), 1, o, false))
    return fail(Errc::io_error);
  return pair;
}

// Takes the name, or knocks at who has it.
Shm::Meeting Shm::find_partner() {
  sockaddr_un address{};
  socklen_t length = 0;
  Descriptor socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket || !address_of(name_, address, length)) return Meeting::failed;
  const auto* const at = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(socket.get(), at, length) == 0) {
    if (::listen(socket.get(), 1) != 0 || !watch(epoll_.get(), socket.get())) return Meeting::failed;
    listener_ = std::move(socket);
    return Meeting::first;
  }
  if (::connect(socket.get(), at, length) != 0) return Meeting::refused;
  if (!watch(epoll_.get(), socket.get())) return Meeting::failed;
  peer_ = std::move(socket);
  return Meeting::second;
}

// Waits for nothing: takes what the first side sends, if it is there.
Shm::Greeting Shm::greet() {
  if (!same_user(peer_.get())) return Greeting::refused;
  Hello hello;
  std::array<Descriptor, kPassed> passed;
  switch (receive_hello(peer_.get(), hello, passed)) {
    case Received::nothing:
      return Greeting::not_yet;
    case Received::ended:
      return Greeting::refused;
    case Received::nonsense:
      return Greeting::nonsense;
    case Received::hello:
      break;
  }
  const ShmOptions theirs{.mtu = hello.mtu, .frames = hello.frames, .mac = options_.mac};
  if (!sizes_fit(theirs) || !is_sealed(passed[0].get(), region_bytes(theirs))) return Greeting::nonsense;
  return meet(std::move(passed[0]), 1, theirs, false) ? Greeting::met : Greeting::failed;
}

Result<Shm> Shm::open(std::string_view name, const ShmOptions& o, PacketPool& pool, ShmProblem* why) {
  ShmProblem ignored;
  ShmProblem& told = why != nullptr ? *why : ignored;
  sockaddr_un address{};
  socklen_t length = 0;
  if (!address_of(name, address, length)) {
    told = {"a name of shared memory has 1 to 98 characters", "take another name: --device shm:NAME", 0};
    return fail(Errc::invalid_argument);
  }
  if (!sizes_fit(o)) {
    told = {"the MTU is not between 68 and 65535, or the frames are no power of two", "take other sizes", 0};
    return fail(Errc::invalid_argument);
  }
  Shm s;
  s.pool_ = &pool;
  s.options_ = o;
  if (o.mac.is_zero()) s.options_.mac = random_mac();
  s.name_ = name;
  s.caps_ = {.link = LinkType::ethernet, .mac = s.options_.mac, .mtu = o.mtu, .gather = true};
  s.epoll_ = Descriptor{::epoll_create1(EPOLL_CLOEXEC)};
  if (!s.epoll_) {
    told = problem("the system has no descriptors left", "close some, or raise the limit (ulimit -n)");
    return fail(Errc::io_error);
  }
  switch (s.find_partner()) {
    case Meeting::first:
      return s;
    case Meeting::second:
      break;
    case Meeting::refused:
      told = problem("can't reach the other side of this name", "end the process that holds it, or take another name");
      return fail(Errc::address_in_use);
    case Meeting::failed:
      told = problem("the system has no descriptors left", "close some, or raise the limit (ulimit -n)");
      return fail(Errc::io_error);
  }
  // The first side answers within its next turn; one that has a partner closes.
  pollfd p{.fd = s.peer_.get(), .events = POLLIN, .revents = 0};
  (void)::poll(&p, 1, kGreetingMs);
  switch (s.greet()) {
    case Greeting::met:
      return s;
    case Greeting::not_yet:
    case Greeting::refused:
      told = {
          "the first side of this name did not let us in: it has a partner, belongs to another user, or stands still",
          "end one of the two, or take another name", 0};
      return fail(Errc::address_in_use);
    case Greeting::nonsense:
      told = {"what the other side offers is no memory of Leat", "run the same version on both sides", 0};
      return fail(Errc::protocol_error);
    case Greeting::failed:
      break;
  }
  told = problem("can't map the shared memory", "");
  return fail(Errc::io_error);
}

// Somebody knocks: gets memory of its own making, so that nothing of an earlier partner is left. False: nobody.
bool Shm::accept() {
  Descriptor socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
  if (!socket || joined() || !same_user(socket.get())) return false;  // closing it is the answer
  Descriptor memory = make_memory(region_bytes(options_));
  if (!memory) return false;
  const Hello hello{.mtu = options_.mtu, .frames = options_.frames};
  const std::array<int, kPassed> fds{memory.get()};
  if (!meet(std::move(memory), 0, options_, true)) return false;
  if (!watch(epoll_.get(), socket.get()) || !send_hello(socket.get(), hello, fds)) {
    map_.reset();
    return false;
  }
  peer_ = std::move(socket);
  return true;
}

void Shm::part() {
  peer_.reset();
  in_ = out_ = sync::FrameRing{};
  map_.reset();
}

// Takes no ring from the socket: who sleeps on it waits for that.
bool Shm::is_hung_up() const {
  pollfd p{.fd = peer_.get(), .events = POLLRDHUP, .revents = 0};
  return peer_ && ::poll(&p, 1, 0) == 1;
}

// The sockets say that the other side has come, that it rings, or that it is gone (with unread rings: a reset).
void Shm::look_at_socket() {
  if (peer_ && joined()) {
    char byte = 0;
    const ssize_t got = ::recv(peer_.get(), &byte, 1, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) part();
  } else if (peer_) {
    if (const Greeting g = greet(); g != Greeting::met && g != Greeting::not_yet) part();
  }
  if (listener_) (void)accept();
}

// Nothing that the other process does to its end can make this block: it has no flag of our descriptor.
void Shm::ring() {
  if (epoll_) {
    const char byte = 0;
    (void)::send(peer_.get(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    return;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t rung = ::write(their_bell_.get(), &one, sizeof one);
}

void Shm::after_sleep() {
  if (joined()) in_.after_sleep();
  if (epoll_) {
    epoll_event event;
    if (::epoll_wait(epoll_.get(), &event, 1, 0) == 1) look_at_socket();
    return;
  }
  std::uint64_t rung = 0;
  [[maybe_unused]] const ssize_t got = ::read(bell_.get(), &rung, sizeof rung);
}

// --- frames ----------------------------------------------------------------------------------------------------------

std::size_t Shm::rx(PacketBatch& batch, Instant now) {
  if (!joined()) {
    if (alone() && now >= look_again_) {
      look_again_ = now + kLookAgain;
      (void)find_partner();
    }
    look_at_socket();
    if (!joined()) return 0;
  }
  std::size_t n = 0;
  for (std::size_t looks = 0; looks < kLooksAtOnce && !batch.full(); ++looks) {
    const auto frame = in_.front();
    if (!frame) break;
    const auto size = static_cast<std::uint32_t>(frame->size());
    Packet p;
    if (size > 0) {
      const ChunkClass c = size + kHeadroom <= kChunkBytes[0]   ? ChunkClass::small
                           : size + kHeadroom <= kChunkBytes[1] ? ChunkClass::normal
                                                                : ChunkClass::large;
      p = pool_->allocate(c, c == ChunkClass::large ? 0 : kHeadroom,
                          c == ChunkClass::small ? Priority::control : Priority::data);
    }
    if (!p) {
      ++counters_.rx_dropped;
      in_.release();
      continue;
    }
    std::memcpy(p.append(size).data(), frame->data(), size);
    in_.release();
    p.meta().time = now;
    ++counters_.rx_packets;
    counters_.rx_bytes += size;
    batch.push(std::move(p));
    ++n;
  }
  return n;
}

std::size_t Shm::tx(PacketBatch& batch, Instant) {
  std::size_t n = 0, sent = 0;
  for (; n < batch.size(); ++n) {
    Packet& p = batch[n];
    const std::uint32_t size = p.size();
    if (!joined() || size > options_.mtu + kLinkHeader) {
      ++counters_.tx_dropped;
      p.reset();
      continue;
    }
    const MutableByteSpan to = out_.reserve();
    if (to.empty()) {
      ++counters_.tx_full;
      if (is_hung_up()) part();  // full because nobody is there any more
      break;
    }
    p.copy_out(0, to.first(size));
    out_.publish(size);
    ++sent;
    ++counters_.tx_packets;
    counters_.tx_bytes += size;
    p.reset();
  }
  batch.pop_front(n);
  if (sent > 0 && joined() && out_.must_ring()) ring();
  return n;
}

}  // namespace leat
