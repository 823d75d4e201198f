#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <leat/runtime/shard_watch.hpp>

namespace leat {
namespace {

enum Tag : std::uint32_t { device, timer, bell };

bool add(int epoll, int fd, std::uint32_t events, Tag tag) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = tag;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Result<ShardWatch> ShardWatch::make() {
  ShardWatch w;
  w.epoll_ = Descriptor{::epoll_create1(EPOLL_CLOEXEC)};
  w.timer_ = Descriptor{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  w.bell_ = Descriptor{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!w.epoll_ || !w.timer_ || !w.bell_) return fail(Errc::no_memory);
  // Edge-triggered: drain() looks at them by epoll_wait and need not read each.
  if (!add(w.epoll_.get(), w.timer_.get(), EPOLLIN | EPOLLET, Tag::timer) ||
      !add(w.epoll_.get(), w.bell_.get(), EPOLLIN | EPOLLET, Tag::bell))
    return fail(Errc::io_error);
  return w;
}

Result<void> ShardWatch::add_device(int fd, bool plain) {
  if (!add(epoll_.get(), fd, EPOLLIN, Tag::device)) return fail(Errc::io_error);
  devices_.push_back(fd);
  plain_ = plain ? fd : -1;
  return {};
}

void ShardWatch::remove_device(int fd) {
  // It fails for a TAP that is gone: another file stands behind its number. It counted all the same.
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  if (std::erase(devices_, fd) != 0) plain_ = -1;  // which one is left is not known
}

void ShardWatch::mute_device(int fd, bool mute) {
  epoll_event event{};
  event.events = mute ? 0U : static_cast<std::uint32_t>(EPOLLIN);
  event.data.u32 = Tag::device;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void ShardWatch::set_timer(Instant when) {
  itimerspec spec{};
  const std::int64_t ns = when.count_ns() > 0 ? when.count_ns() : 1;  // zero would switch it off
  spec.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
  spec.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void ShardWatch::kick() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t sent = ::write(bell_.get(), &one, sizeof one);
}

ShardWatch::Drained ShardWatch::drain() {
  std::array<epoll_event, 16> events;
  Drained drained;
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < n; ++i) {
    const std::uint32_t tag = events[static_cast<std::size_t>(i)].data.u32;
    drained.timer = drained.timer || tag == Tag::timer;
    drained.kick = drained.kick || tag == Tag::bell;
  }
  return drained;
}

}  // namespace leat
