#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/sleeper.hpp>
#include <utility>

namespace leat {
namespace {

enum Tag : std::uint32_t { bell, watch, also };
bool control(int epoll, int operation, int fd, std::uint32_t events, Tag tag, std::uint32_t turn = 0) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{turn} << 32 | tag;
  return ::epoll_ctl(epoll, operation, fd, &event) == 0;
}

}  // namespace

Sleeper* Sleeper::make(std::shared_ptr<ShardMark> mark, int watch_fd) {
  auto* const s = new Sleeper;
  s->mark_ = std::move(mark);
  s->epoll_ = Descriptor{::epoll_create1(EPOLL_CLOEXEC)};
  s->bell_ = Descriptor{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  s->watch_fd_ = watch_fd;
  // The bell is edge-triggered: every ring is told once and nobody has to read it.
  const bool ok =
      s->epoll_ && s->bell_ && control(s->epoll_.get(), EPOLL_CTL_ADD, s->bell_.get(), EPOLLIN | EPOLLET, Tag::bell);
  if (!ok) {
    s->unref();
    return nullptr;
  }
  s->look_at_affinity();
  return s;
}

void Sleeper::look_at_affinity() {
  cpu_set_t set;
  one_cpu = ::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}

Sleeper::~Sleeper() {
  if (keeps_) mark_->keepers.fetch_sub(1, std::memory_order_relaxed);
}

void Sleeper::arm(bool on) {
  if (!on && joined_ && !keeps_) {
    leave_watch();
  } else if (joined_) {
    control(epoll_.get(), EPOLL_CTL_MOD, watch_fd_, on ? std::uint32_t{EPOLLIN} : 0, Tag::watch);
  } else if (on) {
    join_watch();
  } else {
    polls_.store(false, std::memory_order_relaxed);
  }
}

void Sleeper::join_watch() {
  joined_ = control(epoll_.get(), EPOLL_CTL_ADD, watch_fd_, EPOLLIN, Tag::watch);
  if (!joined_) {
    polls_.store(true, std::memory_order_relaxed);
    wake();  // it may be asleep without end
    return;
  }
  keeps_ = mark_->keepers.load(std::memory_order_relaxed) < kKeepers;
  if (keeps_) mark_->keepers.fetch_add(1, std::memory_order_relaxed);
}

void Sleeper::leave_watch() {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watch_fd_, nullptr);
  joined_ = false;
}

bool Sleeper::join_device(int fd) {
  // A descriptor of that number was closed, which took it out of the set: the number is the device's now.
  int closed = fd;
  also_.compare_exchange_strong(closed, -1, std::memory_order_relaxed);
  return joined_ && control(epoll_.get(), EPOLL_CTL_ADD, fd, EPOLLIN, Tag::watch);
}

void Sleeper::leave_device(int fd) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Sleeper::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t sent = ::write(bell_.get(), &one, sizeof one);
}

// The same number may be another file by now: whoever closed it has taken it out of the set.
void Sleeper::watch_also(int fd) {
  constexpr std::uint32_t kOnce = std::uint32_t{EPOLLIN} | EPOLLONESHOT;
  const int old = also_.load(std::memory_order_relaxed);
  if (fd == old && (fd < 0 || control(epoll_.get(), EPOLL_CTL_MOD, fd, kOnce, Tag::also, also_turn_))) return;
  // By system call: ThreadSanitizer would take this for a use of the other file, which another thread may be making.
  if (old >= 0) ::syscall(SYS_epoll_ctl, epoll_.get(), EPOLL_CTL_DEL, old, nullptr);
  also_.store(fd, std::memory_order_relaxed);
  ++also_turn_;
  if (fd >= 0) control(epoll_.get(), EPOLL_CTL_ADD, fd, kOnce, Tag::also, also_turn_);
}

Sleeper::Woken Sleeper::sleep(int also_fd, int timeout_ms) {
  watch_also(also_fd);
  std::array<epoll_event, 4> events;
  const bool polls = polls_.load(std::memory_order_relaxed);
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), polls ? 1 : timeout_ms);
  Woken woken;
  woken.watch = polls;
  woken.interrupted = n < 0 && errno == EINTR;
  for (int i = 0; i < n; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    const auto tag = static_cast<std::uint32_t>(data);
    woken.watch = woken.watch || tag == Tag::watch;
    woken.also = woken.also || (tag == Tag::also && also_fd >= 0 && data >> 32 == also_turn_);
    woken.rung = woken.rung || tag == Tag::bell;
  }
  return woken;
}

void Sleeper::sleep_alone() {
  if (!alone_) {
    alone_ = Descriptor{::epoll_create1(EPOLL_CLOEXEC)};
    if (!alone_ || !control(alone_.get(), EPOLL_CTL_ADD, bell_.get(), EPOLLIN | EPOLLET, Tag::bell)) {
      ::usleep(100);  // no descriptor: look again
      alone_ = Descriptor{};
      return;
    }
  }
  epoll_event event{};
  ::epoll_wait(alone_.get(), &event, 1, -1);
}

ThreadSleepers::~ThreadSleepers() {
  for (const Entry& e : entries_) e.sleeper->unref();
}

Sleeper* ThreadSleepers::find(const Mark& mark, int watch_fd) {
  thread_local ThreadSleepers mine;
  for (const Entry& e : mine.entries_)
    if (e.mark == mark) return e.sleeper;
  for (Entry& e : mine.entries_) {
    if (!e.mark->ended.load(std::memory_order_relaxed)) continue;
    e.sleeper->unref();
    e.sleeper = nullptr;
  }
  std::erase_if(mine.entries_, [](const Entry& e) { return e.sleeper == nullptr; });
  Sleeper* const s = Sleeper::make(mark, watch_fd);
  if (s != nullptr) mine.entries_.push_back({mark, s});
  return s;
}

}  // namespace leat
