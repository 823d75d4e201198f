// poll, ppoll, select, pselect: one operation with a watch for each of Leat's descriptors, while a kernel epoll
// instance stands for the kernel's.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <leat/api/posix/epoll_set.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/fork_watch.hpp>
#include <leat/api/posix/signal_mask.hpp>
#include <leat/api/posix/sockets.hpp>
#include <vector>

namespace leat::posix {
namespace {

short revents_of(Ready ready, short asked) {
  return static_cast<short>(events_of(ready, static_cast<std::uint32_t>(static_cast<unsigned short>(asked))));
}

// What one call needs for each descriptor: in the frame as long as they are few.
template <class T>
class OfOneCall {
 public:
  explicit OfOneCall(std::size_t most) {
    if (most > few_.size()) many_ = std::make_unique<T[]>(most);
    all_ = most > few_.size() ? many_.get() : few_.data();
  }
  T& add() { return all_[count_++]; }
  [[nodiscard]] std::span<T> list() { return {all_, count_}; }

 private:
  std::array<T, 4> few_{};
  std::unique_ptr<T[]> many_;
  T* all_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace

// A child's, after fork(): it has no descriptors of ours, and the kernel's are the kernel's to wait for.
int Sockets::poll_in_child(std::span<pollfd> fds, Instant until, bool block) {
  for (const pollfd& p : fds)
    if (owns(p.fd)) return -EBADF;
  const Duration rest = block ? std::max(until - service_->now(), Duration{}) : Duration{};
  const timespec t{rest.count_s(), rest.count_ns() % 1'000'000'000};
  const int n = ::ppoll(fds.data(), fds.size(), block && until.is_never() ? nullptr : &t, nullptr);
  return n < 0 ? -errno : n;
}

int Sockets::poll_until(std::span<pollfd> fds, Instant until, bool block) {
  if (fork_generation_ != fork_generation()) return poll_in_child(fds, until, block);
  OfOneCall<Watch> watches(fds.size());
  OfOneCall<std::size_t> ours(fds.size());  // which entry each watch is of
  std::vector<pollfd> others;               // the kernel's, as they are asked for
  std::vector<std::size_t> other_places;
  int count = 0;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    pollfd& p = fds[i];
    p.revents = 0;
    if (p.fd < 0) continue;
    File f;
    if (!find(p.fd, f)) {
      if (Descriptors::stands_in(p.fd)) {  // another table's
        p.revents = POLLNVAL;
        ++count;
        continue;
      }
      others.push_back({p.fd, p.events, 0});
      other_places.push_back(i);
      continue;
    }
    if (f.has(kSet)) {  // a set within the call: its descriptor tells, once its Leat part shows there
      if (set_is_ready(p.fd)) p.revents = static_cast<short>(p.events & (POLLIN | POLLRDNORM));
      if (p.revents != 0) {
        ++count;
        continue;
      }
      others.push_back({p.fd, p.events, 0});
      other_places.push_back(i);
      continue;
    }
    if (f.open->pending_zero_copy.load(std::memory_order_relaxed) > 0) p.revents = POLLERR;
    if (p.revents != 0) ++count;
    Watch& w = watches.add();
    w.socket = f.handle;
    w.wanted = wanted_of(static_cast<std::uint32_t>(static_cast<unsigned short>(p.events)));
    ours.add() = i;
  }

  const auto take_others = [&] {
    int n = others.empty() ? 0 : ::poll(others.data(), others.size(), 0);
    for (std::size_t i = 0; n > 0 && i < others.size(); ++i) fds[other_places[i]].revents = others[i].revents;
    return n < 0 ? -errno : n;
  };
  const auto take_ours = [&] {
    int n = 0;
    for (std::size_t i = 0; i < ours.list().size(); ++i) {
      pollfd& p = fds[ours.list()[i]];
      const bool before = p.revents != 0;
      p.revents = static_cast<short>(p.revents | revents_of(watches.list()[i].ready, p.events));
      if (!before && p.revents != 0) ++n;
    }
    return n;
  };

  const int others_ready = take_others();
  if (others_ready < 0) return others_ready;
  count += others_ready;
  Op op;
  op.verb = Verb::poll;
  op.watches = watches.list();
  const bool look_only = count > 0 || !block;
  op.flags.dont_wait = look_only;
  if (look_only || others.empty()) {
    if (!look_only) op.deadline = until;
    if (look_only && watches.list().empty()) return count;
    service_->run(op);
    if (op.error != Errc{}) return count > 0 ? count : negative(op.error);
    return count + take_ours();
  }
  // Both kinds, or only the kernel's and sets: the kernel's wait as one descriptor.
  const int all_others = ::epoll_create1(EPOLL_CLOEXEC);
  if (all_others < 0) return -errno;
  for (const pollfd& p : others) {
    epoll_event e{};
    e.events = static_cast<std::uint32_t>(static_cast<unsigned short>(p.events));
    // One that epoll can't hold (a file: always ready) was looked at above.
    if (::epoll_ctl(all_others, EPOLL_CTL_ADD, p.fd, &e) == 0 || errno != EEXIST) continue;
    for (const pollfd& same : others)  // it stands in the array more than once
      if (same.fd == p.fd) e.events |= static_cast<std::uint32_t>(static_cast<unsigned short>(same.events));
    (void)::epoll_ctl(all_others, EPOLL_CTL_MOD, p.fd, &e);
  }
  do {  // again when another thread has taken what the kernel's descriptor had
    op.reset();
    op.verb = Verb::poll;
    op.watches = watches.list();
    op.also_fd = all_others;
    op.deadline = until;
    service_->run(op);
    const int late = take_others();
    count += take_ours() + std::max(late, 0);
  } while (count == 0 && op.error == Errc::interrupted && op.also_ready);
  ::close(all_others);
  if (count > 0 || op.error == Errc{}) return count;
  return negative(op.error);
}

int Sockets::poll(pollfd* fds, nfds_t count, int timeout_ms) {
  if (count > static_cast<nfds_t>(Descriptors::kMost)) return -EINVAL;
  if (fds == nullptr && count > 0) return -EFAULT;
  const Instant until = timeout_ms < 0 ? Instant::never() : service_->now() + Duration::ms(timeout_ms);
  return poll_until({fds, count}, until, timeout_ms != 0);
}

int Sockets::ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  Instant until = Instant::never();
  if (const int bad = deadline_of(timeout, service_->now(), until); bad != 0) return bad;
  if (count > static_cast<nfds_t>(Descriptors::kMost)) return -EINVAL;
  if (fds == nullptr && count > 0) return -EFAULT;
  const bool block = timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
  return wait_masked(mask, EndedBy::handled, block, [&](bool waits) { return poll_until({fds, count}, until, waits); });
}

int Sockets::pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const timespec* timeout,
                     const sigset_t* mask) {
  if (count < 0) return -EINVAL;
  if (count > FD_SETSIZE) {  // as much as getdtablesize() says, perhaps: Linux goes no further than the last in use
    const std::lock_guard lock(mutex_);
    if (table_.highest() > FD_SETSIZE) return -EINVAL;
    count = FD_SETSIZE;
  }
  Instant until = Instant::never();
  if (const int bad = deadline_of(timeout, service_->now(), until); bad != 0) return bad;
  const bool block = timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
  const auto wants = [](int fd, const fd_set* set) { return set != nullptr && FD_ISSET(fd, set); };
  std::vector<pollfd> fds;
  std::vector<int> unexceptional;  // POLLPRI never comes of ours, and an error or a hang-up is something else
  for (int fd = 0; fd < count; ++fd) {
    const int events = (wants(fd, readable) ? POLLIN : 0) | (wants(fd, writable) ? POLLOUT : 0) |
                       (wants(fd, exceptional) ? POLLPRI : 0);
    if (events == POLLPRI && owns(fd) && fork_generation_ == fork_generation()) {
      unexceptional.push_back(fd);
    } else if (events != 0) {
      fds.push_back({fd, static_cast<short>(events), 0});
    }
  }
  const int n = wait_masked(mask, EndedBy::handled, block, [&](bool waits) { return poll_until(fds, until, waits); });
  if (n < 0) return n;
  for (const pollfd& p : fds)
    if ((p.revents & POLLNVAL) != 0) return -EBADF;
  for (const int fd : unexceptional) FD_CLR(fd, exceptional);
  int bits = 0;
  const auto give = [&](const pollfd& p, fd_set* set, int asked, int meaning) {
    if (set == nullptr || (p.events & asked) == 0) return;
    if ((p.revents & meaning) != 0) {
      ++bits;
    } else {
      FD_CLR(p.fd, set);
    }
  };
  for (const pollfd& p : fds) {  // as Linux: an error is readable and writable, a hang-up readable
    give(p, readable, POLLIN, POLLIN | POLLHUP | POLLERR);
    give(p, writable, POLLOUT, POLLOUT | POLLERR);
    give(p, exceptional, POLLPRI, POLLPRI);
  }
  return bits;
}

int Sockets::select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* timeout) {
  if (timeout == nullptr) return pselect(count, readable, writable, exceptional, nullptr, nullptr);
  if (timeout->tv_sec < 0 || timeout->tv_usec < 0) return -EINVAL;
  const timespec t{timeout->tv_sec + timeout->tv_usec / 1'000'000, timeout->tv_usec % 1'000'000 * 1000};
  const Instant begin = service_->now();
  const int n = pselect(count, readable, writable, exceptional, &t, nullptr);
  // Linux: what is left of the time.
  const std::int64_t all = t.tv_sec * 1'000'000 + t.tv_nsec / 1000;
  const std::int64_t left = std::max<std::int64_t>(0, all - (service_->now() - begin).count_us());
  *timeout = {left / 1'000'000, left % 1'000'000};
  return n;
}

}  // namespace leat::posix
