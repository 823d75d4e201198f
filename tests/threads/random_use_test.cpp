// Threads draw what they do on one shared stack from a seed: send and receive in the POSIX form, by the channel, by
// coroutines and by bare operations, with time-outs and cancellations, while others shut down, close and abort what
// they are at. Every octet comes once and in order, nothing hangs, and in the end everything is given back.
// LEAT_RANDOM_USES=N draws N programs, LEAT_RANDOM_SEED=N is the first seed; the order of the threads is the machine's.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <csignal>
#include <leat/api/channel/tcp.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <leat/api/posix/sockets.hpp>
#include <leat/base/rng.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/posix/sockaddr.hpp"
#include "tests/support/from_environment.hpp"

namespace leat::test {
namespace {

constexpr unsigned kThreads = 4;
constexpr unsigned kLanes = 3;
constexpr unsigned kSteps = 150;  // of each thread

// What a call came to, where it moved no octets.
constexpr long kEnd = 0;       // the peer has finished
constexpr long kNothing = -1;  // not now
constexpr long kOver = -2;     // nor ever

long outcome(const Result<IoCount>& r) {
  if (r && r->count > 0) return static_cast<long>(r->count);
  if (r) return r->status == IoStatus::end_of_stream ? kEnd : kNothing;
  return r.error() == Errc::cancelled || r.error() == Errc::timed_out ? kNothing : kOver;
}

// A thread: what it draws from, and where its coroutines run.
struct Caller {
  Rng rng;
  coroutine::Executor executor;
};

// One end of a connection in some form. One thread at a time sends, one receives; close() comes from any.
class End {
 public:
  End() = default;
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  virtual ~End() = default;
  virtual long send(ByteSpan from, Caller& by) = 0;
  // May wait without a limit: the connection's end ends it.
  virtual long receive(MutableByteSpan to, Caller& by) = 0;
  virtual void finish() = 0;  // FIN
  virtual void close(bool abort) = 0;
};

class PosixEnd final : public End {
 public:
  PosixEnd(posix::Sockets& net, int fd) : net_(net), fd_(fd) {}
  long send(ByteSpan from, Caller& by) override {
    limit(SO_SNDTIMEO, 1 + by.rng.below(2000));
    const iovec parts[] = {piece(from.first(from.size() / 2)), piece(from.subspan(from.size() / 2))};
    switch (by.rng.below(3)) {
      case 0:
        return moved(net_.send(fd_, from.data(), from.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      case 1: {
        msghdr m{};
        m.msg_iov = const_cast<iovec*>(&parts[0]);
        m.msg_iovlen = 2;
        return moved(net_.sendmsg(fd_, &m, MSG_NOSIGNAL));
      }
      default:
        return moved(net_.send(fd_, from.data(), from.size(), MSG_NOSIGNAL));
    }
  }
  long receive(MutableByteSpan to, Caller& by) override {
    limit(SO_RCVTIMEO, by.rng.below(16) == 0 ? 0 : 1 + by.rng.below(2000));
    switch (by.rng.below(5)) {
      case 0: {
        pollfd p{fd_, POLLIN, 0};
        (void)net_.poll(&p, 1, static_cast<int>(by.rng.below(3)));
        return read(to, MSG_DONTWAIT);
      }
      case 1: {
        const int set = net_.epoll_create1(0);
        epoll_event e{.events = EPOLLIN | (by.rng.below(2) == 0 ? std::uint32_t{EPOLLET} : 0U), .data = {}};
        (void)net_.epoll_ctl(set, EPOLL_CTL_ADD, fd_, &e);
        (void)net_.epoll_wait(set, &e, 1, static_cast<int>(by.rng.below(3)));
        EXPECT_EQ(net_.close(set), 0);
        return read(to, MSG_DONTWAIT);
      }
      case 2:
        return read(to, MSG_WAITALL);
      case 3: {
        std::vector<std::uint8_t> shown(to.size());
        const ssize_t n = net_.recv(fd_, shown.data(), shown.size(), MSG_PEEK | MSG_DONTWAIT);
        const long got = n > 0 ? read(to.first(static_cast<std::size_t>(n)), 0) : moved_in(n);
        if (n > 0 && got > 0) {
          EXPECT_TRUE(std::equal(to.begin(), to.begin() + got, shown.begin()));
        }
        return got;
      }
      default:
        return read(to, 0);
    }
  }
  void finish() override { (void)net_.shutdown(fd_, SHUT_WR); }
  void close(bool abort) override {
    if (closed_.exchange(true)) return;
    const linger at_once{1, 0};
    if (abort) (void)net_.setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, length_of(at_once));
    EXPECT_EQ(net_.close(fd_), 0);
  }

 private:
  static iovec piece(ByteSpan s) { return {const_cast<std::uint8_t*>(s.data()), s.size()}; }
  static long moved(ssize_t n) { return n > 0 ? n : n == -EAGAIN || n == 0 ? kNothing : kOver; }
  static long moved_in(ssize_t n) { return n == 0 ? kEnd : moved(n); }
  long read(MutableByteSpan to, int flags) { return moved_in(net_.recv(fd_, to.data(), to.size(), flags)); }
  void limit(int name, std::uint32_t us) {
    const timeval t{0, static_cast<suseconds_t>(us)};
    (void)net_.setsockopt(fd_, SOL_SOCKET, name, &t, length_of(t));
  }
  posix::Sockets& net_;
  const int fd_;
  std::atomic<bool> closed_{false};  // all threads: who closes first does it
};

class ChannelEnd final : public End {
 public:
  explicit ChannelEnd(channel::TcpStream stream) : stream_(std::move(stream)) {}
  long send(ByteSpan from, Caller& by) override {
    if (by.rng.below(2) == 0) return maybe(stream_.try_send(from));
    return known(stream_.send(from, Duration::us(1 + by.rng.below(2000))));
  }
  long receive(MutableByteSpan to, Caller& by) override {
    const Duration limit = by.rng.below(16) == 0 ? channel::kForever : Duration::us(1 + by.rng.below(2000));
    switch (by.rng.below(3)) {
      case 0: {
        const auto got = stream_.try_recv(to);
        return got && *got && **got == 0 ? kEnd : maybe(got);
      }
      case 1: {
        const auto bytes = stream_.recv_bytes(to.size(), limit);
        if (!bytes) return bytes.error() == Errc::timed_out ? kNothing : kOver;
        std::copy(bytes->begin(), bytes->end(), to.begin());
        return static_cast<long>(bytes->size());
      }
      default:
        return known(stream_.recv(to, limit));
    }
  }
  void finish() override { (void)stream_.shutdown_write(); }
  void close(bool abort) override {
    if (abort) {
      stream_.abort();
    } else {
      stream_.close();
    }
  }

 private:
  static long known(const Result<std::size_t>& r) {
    if (r) return static_cast<long>(*r);
    return r.error() == Errc::timed_out ? kNothing : kOver;
  }
  static long maybe(const Result<std::optional<std::size_t>>& r) {
    if (!r) return kOver;
    return *r && **r > 0 ? static_cast<long>(**r) : kNothing;
  }
  channel::TcpStream stream_;
};

// By coroutines, and by operations that are started and cancelled.
class BareEnd final : public End {
 public:
  BareEnd(std::shared_ptr<SharedStack> stack, Handle handle) : stack_(std::move(stack)), handle_(handle) {}
  long send(ByteSpan from, Caller& by) override {
    if (by.rng.below(2) == 0) {
      return awaited(by, [&](coroutine::TcpStream& s, const coroutine::Limit& l) { return s.write(from, l); });
    }
    Op op;
    op.send(handle_, from);
    return cut_short(op, by);
  }
  long receive(MutableByteSpan to, Caller& by) override {
    if (by.rng.below(2) == 0) {
      const bool all = by.rng.below(2) == 0;
      return awaited(by, [&](coroutine::TcpStream& s, const coroutine::Limit& l) {
        return all ? s.read_all(to, l) : s.read(to, l);
      });
    }
    Op op;
    op.receive(handle_, to);
    if (by.rng.below(16) != 0) return cut_short(op, by);
    stack_->run(op);
    return outcome(op.io());
  }
  void finish() override {
    Op op;
    op.shutdown(handle_, ShutdownHow::write);
    stack_->run(op);
  }
  void close(bool abort) override {
    Op op;
    op.close(handle_);
    if (abort) op.abort(handle_);
    stack_->run(op);
  }

 private:
  template <class Begin>
  long awaited(Caller& by, Begin begin) {
    coroutine::TcpStream stream(stack_, handle_);
    long result = kNothing;
    const auto limit = Duration::us(1 + by.rng.below(2000));
    by.executor.spawn([](coroutine::TcpStream& s, Duration within, Begin& call, long& to) -> coroutine::Task<void> {
      const coroutine::Limit l{.within = within};
      to = outcome(co_await call(s, l));
    }(stream, limit, begin, result));
    by.executor.run();
    (void)stream.release();
    return result;
  }
  long cut_short(Op& op, Caller& by) {
    std::atomic<bool> told{false};
    op.context = &told;
    op.completed = [](Op& o) {
      auto* const t = static_cast<std::atomic<bool>*>(o.context);
      t->store(true, std::memory_order_release);
    };
    stack_->start(op);
    for (std::uint32_t i = by.rng.below(200); i > 0 && !told.load(std::memory_order_acquire); --i)
      std::this_thread::yield();
    if (!told.load(std::memory_order_acquire)) stack_->cancel(op);
    while (!told.load(std::memory_order_acquire)) std::this_thread::yield();
    // What was moved before it was cancelled counts.
    return op.count > 0 ? static_cast<long>(op.count) : outcome(op.io());
  }
  std::shared_ptr<SharedStack> stack_;
  const Handle handle_;
};

// A connection, of which each end and each direction may be in use by a thread of its own.
struct Lane {
  struct Direction {
    std::mutex sending, receiving;
    std::uint64_t sent = 0, received = 0;  // octets; each under its mutex
  };
  std::array<std::unique_ptr<End>, 2> ends;  // changes under all four mutexes
  std::array<Direction, 2> directions;       // [d] goes from ends[d] to the other
  std::atomic<bool> closing{true};           // written under all mutexes or by who is about to close; a hint for others
  std::uint64_t seed = 0;
  [[nodiscard]] std::uint8_t octet(unsigned direction, std::uint64_t at) const {
    const std::uint64_t mixed = (seed + direction * 77 + at) * 0x9e3779b97f4a7c15U;
    return static_cast<std::uint8_t>(mixed >> 56);
  }
};

class RandomUse {
 public:
  explicit RandomUse(std::uint64_t seed) : seed_(seed), rng_({seed, 1}) {
    SharedStackOptions o{.limits = hosted_limits(256), .packet_memory = std::size_t{16} << 20};
    o.janitor = rng_.below(4) != 0;
    o.check_invariants = true;
    stack_ = SharedStack::make(o).value();
    before_ = in_use();
    net_ = std::make_unique<posix::Sockets>(stack_);
    channel_ = channel::Channel(stack_);
  }
  void run() {
    Caller here{Rng({seed_, 2}), coroutine::Executor(stack_)};
    for (Lane& lane : lanes_) renew(lane, here, true);
    std::atomic<unsigned> running{kThreads};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        Caller by{Rng({seed_, 100 + t}), coroutine::Executor(stack_)};
        for (unsigned i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) step(by);
        --running;
      });
    // Those who still wait for something are many or few; then nobody is left to end that.
    while (running > 0) {
      renew(lanes_[here.rng.below(kLanes)], here, true);
      (void)net_->poll(nullptr, 0, 1);
    }
    for (auto& t : threads) t.join();
    for (Lane& lane : lanes_) renew(lane, here, false);
    net_.reset();
    channel_ = {};
    // FINs and their ACKs take a while; a bound, not a time that decides.
    for (int i = 0; i < 10'000 && in_use() != before_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(in_use(), before_);
    EXPECT_GT(octets_.load(), 1000U);
    stack_->stop();
  }

 private:
  // Sockets, connections, their blocks, listeners, bound ports; packets that are free.
  using InUse = std::array<std::uint32_t, 6>;
  InUse in_use() {
    InUse n{};
    EXPECT_TRUE(stack_->with_owner([&n](Shard& shard) {
      const Core& c = shard.stack().core();
      n = {c.sockets.used(),           c.tcp.connection_pool.used(), c.tcp.active_pool.used(),
           c.tcp.listener_pool.used(), c.tcp.binds.size(),           c.pool.packets_free()};
    }));
    return n;
  }

  void step(Caller& by) {
    Lane& lane = lanes_[by.rng.below(kLanes)];
    if (by.rng.below(30) == 0) return renew(lane, by, true);
    const unsigned d = by.rng.below(2);
    Lane::Direction& direction = lane.directions[d];
    if (by.rng.below(2) == 0) {
      const std::unique_lock lock(direction.sending, std::try_to_lock);
      if (!lock || lane.closing.load()) return;
      std::vector<std::uint8_t> bytes(1 + by.rng.below(by.rng.below(8) == 0 ? 60'000 : 500));
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = lane.octet(d, direction.sent + i);
      const long n = lane.ends[d]->send(bytes, by);
      if (n > 0) direction.sent += static_cast<std::uint64_t>(n);
    } else {
      const std::unique_lock lock(direction.receiving, std::try_to_lock);
      if (lock && !lane.closing.load()) (void)take(lane, d, by);
    }
  }
  // Receives once, in direction d. Under its mutex.
  long take(Lane& lane, unsigned d, Caller& by) {
    std::vector<std::uint8_t> bytes(1 + by.rng.below(by.rng.below(4) == 0 ? 60'000 : 700));
    const long n = lane.ends[1 - d]->receive(bytes, by);
    std::uint64_t& at = lane.directions[d].received;
    for (long i = 0; i < n; ++i, ++at) {
      if (bytes[static_cast<std::size_t>(i)] == lane.octet(d, at)) continue;
      ADD_FAILURE() << "seed " << seed_ << ": octet " << at << " is not what was sent";
      return kOver;
    }
    if (n > 0) octets_ += static_cast<std::uint64_t>(n);
    return n;
  }

  // Ends the connection, gently or not, and makes another.
  void renew(Lane& lane, Caller& by, bool again) {
    const std::lock_guard one(renewing_);  // no number is given away while somebody may still use it
    const bool first = lane.ends[0] == nullptr;
    if (!first && by.rng.below(2) == 0) {
      const std::scoped_lock senders(lane.directions[0].sending, lane.directions[1].sending);
      for (auto& e : lane.ends) e->finish();
      const std::scoped_lock receivers(lane.directions[0].receiving, lane.directions[1].receiving);
      for (unsigned d = 0; d < 2; ++d) {
        long n = kNothing;
        for (int i = 0; i < 100'000 && (n > 0 || n == kNothing); ++i) n = take(lane, d, by);
        EXPECT_EQ(n, kEnd) << "seed " << seed_;
        EXPECT_EQ(lane.directions[d].received, lane.directions[d].sent) << "seed " << seed_;
      }
      for (auto& e : lane.ends) e->close(false);
      replace(lane, by, again);
      return;
    }
    lane.closing = true;
    const unsigned before = by.rng.below(2);
    if (!first) {
      lane.ends[before]->close(by.rng.below(2) == 0);
      lane.ends[1 - before]->close(by.rng.below(2) == 0);
    }
    const std::scoped_lock all(lane.directions[0].sending, lane.directions[1].sending, lane.directions[0].receiving,
                               lane.directions[1].receiving);
    replace(lane, by, again);
  }
  void replace(Lane& lane, Caller& by, bool again) {
    lane.closing = !again;
    lane.seed = by.rng.next();
    for (auto& d : lane.directions) d.sent = d.received = 0;
    if (again) connect(lane, by);
  }

  void connect(Lane& lane, Caller& by) {
    const int listener = net_->socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in a = v4(0);
    socklen_t length = length_of(a);
    ASSERT_EQ(net_->bind(listener, sa(a), length), 0);
    ASSERT_EQ(net_->listen(listener, 1), 0);
    ASSERT_EQ(net_->getsockname(listener, sa(a), &length), 0);
    const Endpoint to{IpAddress::v4(127, 0, 0, 1), Port{ntohs(a.sin_port)}};
    switch (by.rng.below(3)) {
      case 0: {
        const int fd = net_->socket(AF_INET, SOCK_STREAM, 0);
        ASSERT_EQ(net_->connect(fd, sa(a), length), 0);
        lane.ends[0] = std::make_unique<PosixEnd>(*net_, fd);
        break;
      }
      case 1:
        lane.ends[0] = std::make_unique<ChannelEnd>(channel::TcpStream::connect(channel_, to).value());
        break;
      default: {
        Op op;
        op.open(SocketKind::stream);
        stack_->run(op);
        const Handle h = op.handle;
        op.reset();
        op.connect(h, to);
        stack_->run(op);
        ASSERT_EQ(op.error, Errc{});
        lane.ends[0] = std::make_unique<BareEnd>(stack_, h);
      }
    }
    const int fd = net_->accept(listener, nullptr, nullptr);
    ASSERT_GE(fd, 0);
    lane.ends[1] = std::make_unique<PosixEnd>(*net_, fd);
    if (by.rng.below(2) == 0) std::swap(lane.ends[0], lane.ends[1]);
    ASSERT_EQ(net_->close(listener), 0);
  }

  const std::uint64_t seed_;
  Rng rng_;
  std::shared_ptr<SharedStack> stack_;
  InUse before_{};
  std::unique_ptr<posix::Sockets> net_;
  channel::Channel channel_;
  std::array<Lane, kLanes> lanes_;
  std::mutex renewing_;
  std::atomic<std::uint64_t> octets_{0};  // received by all threads
};

TEST(RandomUse, OfOneStackByManyThreads) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::uint64_t first = from_environment("LEAT_RANDOM_SEED", 1);
  const std::uint64_t count = from_environment("LEAT_RANDOM_USES", 5);
  for (std::uint64_t seed = first; seed < first + count && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomUse(seed).run();
  }
}

}  // namespace
}  // namespace leat::test
