// epoll: sets of Leat's sockets and of kernel descriptors.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <leat/api/posix/epoll_set.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/fork_watch.hpp>
#include <leat/api/posix/signal_mask.hpp>
#include <leat/api/posix/sockets.hpp>

namespace leat::posix {

int Sockets::epoll_create(int size) {
  return size <= 0 ? -EINVAL : epoll_create1(0);
}

int Sockets::epoll_create1(int flags) {
  if ((flags & ~EPOLL_CLOEXEC) != 0) return -EINVAL;
  if (fork_generation_ != fork_generation()) return -EBADF;
  const int instance = ::epoll_create1(EPOLL_CLOEXEC);
  if (instance < 0) return -errno;
  auto set = std::make_shared<EpollSet>(instance);
  const int fd = ::fcntl(instance, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return -errno;
  for (const int number : {instance, fd})
    if (owns(number)) end_leftover(number);
  const std::lock_guard lock(mutex_);
  OpenFile* const open = fd < Descriptors::kMost ? table_.make() : nullptr;
  if (open == nullptr) {
    ::close(fd);
    return -EMFILE;
  }
  open->flags.store(kSet, std::memory_order_relaxed);
  open->set = std::move(set);
  table_.put(fd, *open, (flags & EPOLL_CLOEXEC) != 0);
  return fd;
}

int Sockets::find_set(int fd, std::shared_ptr<EpollSet>& set) {
  File f;
  if (!find(fd, f)) return !owns(fd) && fd >= 0 && ::fcntl(fd, F_GETFD) >= 0 ? -EINVAL : -EBADF;
  if (!f.has(kSet)) return -EINVAL;
  const std::lock_guard lock(mutex_);
  if (!table_.still(fd, f)) return -EBADF;
  set = f.open->set;
  return 0;
}

// The socket's description ends: it leaves the sets that it is in. Under the mutex.
void Sockets::leave_sets(OpenFile& open) {
  for (const Membership& m : open.memberships) {
    const std::shared_ptr<EpollSet> set = m.set.lock();
    if (set == nullptr) continue;
    const auto found = set->members.find(m.key);
    if (found == set->members.end()) continue;
    Op op;
    op.verb = Verb::remove_member;
    op.set = &set->ready;
    op.member = found->second.get();
    run_through(op);
    set->members.erase(found);
    set->look_again(*service_);
  }
  open.memberships.clear();
}

int Sockets::add_member(EpollSet& set, const File& f, int fd, const epoll_event& e) {
  const EpollSet::Key key{Descriptors::description_of(f), fd};
  auto member = std::make_unique<EpollMember>();
  member->socket = f.handle;
  member->data = e.data.u64;
  member->tag = e.events;
  member->wanted = wanted_of(e.events);
  member->flags.edge = (e.events & EPOLLET) != 0;
  member->flags.one_shot = (e.events & EPOLLONESHOT) != 0;
  member->flags.exclusive = (e.events & EPOLLEXCLUSIVE) != 0;
  Op op;
  op.verb = Verb::add_member;
  op.set = &set.ready;
  op.member = member.get();
  run_through(op);
  if (op.error != Errc{}) return op.error == Errc::bad_handle ? -EBADF : negative(op.error);
  set.members.emplace(key, std::move(member));
  // Sets that have ended are forgotten before the list grows for them.
  auto& known = f.open->memberships;
  if (known.size() == known.capacity()) std::erase_if(known, [](const Membership& m) { return m.set.expired(); });
  known.push_back({set.weak_from_this(), key});
  return 0;
}

int Sockets::control_kernel_member(EpollSet& set, int operation, int fd, epoll_event* event) {
  if (::epoll_ctl(set.kernel_fd, operation, fd, event) != 0) return -errno;
  // Who waits for a set of Leat's sockets alone does not look at the kernel's part yet.
  if (operation == EPOLL_CTL_ADD && set.kernel_members.fetch_add(1, std::memory_order_relaxed) == 0)
    set.wake(*service_);
  return 0;
}

// A completion of MSG_ZEROCOPY waits on the socket: EPOLLERR in the sets that it is in.
void Sockets::tell_zero_copy(int fd, const File& f) {
  const std::lock_guard lock(mutex_);
  if (!table_.still(fd, f)) return;
  for (const Membership& m : f.open->memberships) {
    const std::shared_ptr<EpollSet> set = m.set.lock();
    if (set == nullptr) continue;
    if (std::ranges::find(set->zero_copy, m.key, &EpollSet::ZeroCopy::key) == set->zero_copy.end())
      set->zero_copy.push_back({m.key, f.open});
    set->has_zero_copy.store(true, std::memory_order_relaxed);
    set->wake(*service_);
  }
}

int Sockets::zero_copy_events(EpollSet& set, epoll_event* events, int most) {
  if (!set.has_zero_copy.load(std::memory_order_relaxed)) return 0;
  const std::lock_guard lock(mutex_);
  int n = 0;
  std::erase_if(set.zero_copy, [&](const EpollSet::ZeroCopy& z) {
    const auto found = set.members.find(z.key);
    const bool there = found != set.members.end() && Descriptors::description_of(*z.open) == z.key.first &&
                       z.open->pending_zero_copy.load(std::memory_order_relaxed) > 0;
    if (!there) return true;
    if (n == most) return false;
    events[n].events = EPOLLERR;
    events[n++].data.u64 = found->second->data;
    return found->second->flags.edge || found->second->flags.one_shot;
  });
  set.has_zero_copy.store(!set.zero_copy.empty(), std::memory_order_relaxed);
  return n;
}

// What may stand beside EPOLLEXCLUSIVE, as on Linux.
constexpr std::uint32_t kExclusiveMay =
    std::uint32_t{EPOLLEXCLUSIVE} | EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET;

int Sockets::epoll_ctl(int set_fd, int operation, int fd, epoll_event* event) {
  std::shared_ptr<EpollSet> set;
  if (const int bad = find_set(set_fd, set); bad != 0) return bad;
  if (operation != EPOLL_CTL_DEL && event == nullptr) return -EFAULT;
  File f;
  if (!find(fd, f) || f.has(kSet)) {
    if (fd == set_fd) return -EINVAL;
    if (f.open == nullptr && Descriptors::stands_in(fd)) return -EBADF;  // another table's
    if (f.has(kSet)) {
      if (const int bad = export_readiness(fd); bad != 0) return bad;
    }
    const std::lock_guard lock(mutex_);
    return control_kernel_member(*set, operation, fd, event);
  }
  const std::lock_guard lock(mutex_);
  if (!table_.still(fd, f)) return -EBADF;
  f.handle = Handle::from_bits(f.open->handle.load(std::memory_order_acquire));  // begin_again() may have been faster
  if (operation != EPOLL_CTL_DEL && (event->events & EPOLLEXCLUSIVE) != 0 &&
      (operation == EPOLL_CTL_MOD || (event->events & ~kExclusiveMay) != 0))
    return -EINVAL;
  const EpollSet::Key key{Descriptors::description_of(f), fd};
  const auto found = set->members.find(key);
  const bool there = found != set->members.end();
  int result = 0;
  Op op;
  switch (operation) {
    case EPOLL_CTL_ADD:
      if (there) return -EEXIST;
      result = add_member(*set, f, fd, *event);
      break;
    case EPOLL_CTL_MOD: {
      if (!there) return -ENOENT;
      EpollMember& member = *found->second;
      if (member.flags.exclusive) return -EINVAL;
      // What an event tells is exchanged as a whole, so the member is taken out and put in again.
      op.verb = Verb::remove_member;
      op.set = &set->ready;
      op.member = &member;
      run_through(op);
      set->members.erase(found);
      std::erase_if(f.open->memberships, [&](const Membership& m) { return m.key == key && m.set.lock() == set; });
      result = add_member(*set, f, fd, *event);
      break;
    }
    case EPOLL_CTL_DEL:
      if (!there) return -ENOENT;
      op.verb = Verb::remove_member;
      op.set = &set->ready;
      op.member = found->second.get();
      run_through(op);
      set->members.erase(found);
      std::erase_if(f.open->memberships, [&](const Membership& m) { return m.key == key && m.set.lock() == set; });
      break;
    default:
      return -EINVAL;
  }
  set->look_again(*service_);
  return result;
}

// What poll() tells of a set's part that is Leat's; its descriptor tells the kernel's.
bool Sockets::set_is_ready(int set_fd) {
  std::shared_ptr<EpollSet> set;
  if (find_set(set_fd, set) != 0 || set->export_readiness(*service_) != 0) return false;
  Op op;
  op.verb = Verb::wait_set;
  op.set = &set->ready;
  op.flags.dont_wait = true;
  service_->run(op);  // of no room for events: it takes nothing
  set->look_again(*service_);
  return op.error == Errc{} && op.count > 0;
}

int Sockets::export_readiness(int set_fd) {
  std::shared_ptr<EpollSet> set;
  if (const int bad = find_set(set_fd, set); bad != 0) return bad;
  return set->export_readiness(*service_);
}

namespace {

// Of the kernel's part; the set's own eventfd is no event of the program's.
int kernel_events(EpollSet& set, epoll_event* events, int most) {
  const int n = ::epoll_wait(set.kernel_fd, events, most, 0);
  if (n <= 0 || !set.exported()) return std::max(n, 0);
  int kept = 0;
  for (int i = 0; i < n; ++i)
    if (events[i].data.u64 != EpollSet::kOwnEvent) events[kept++] = events[i];
  return kept;
}

}  // namespace

int Sockets::wait_set(EpollSet& set, epoll_event* events, int most, Instant until, bool block) {
  constexpr std::size_t kAtOnce = 64;
  std::array<SetEvent, kAtOnce> told;
  int count = 0;
  const auto take = [&](Op& op) {
    for (std::size_t i = 0; i < op.count; ++i) {
      // Zero when what was asked for is not what came: the socket is closed for writing only, for example.
      const std::uint32_t e = events_of(told[i].ready, told[i].tag);
      if (e == 0) continue;
      events[count].events = e;
      events[count++].data.u64 = told[i].data;
    }
  };
  for (;;) {
    const std::int64_t news = set.news.load(std::memory_order_acquire);
    const auto has_news = [&] { return set.news.load(std::memory_order_relaxed) != news; };
    count = zero_copy_events(set, events, most);
    const bool has_kernel = set.kernel_members.load(std::memory_order_relaxed) > 0;
    // With a small array neither kind may starve the other: they take turns.
    const bool kernel_first = has_kernel && (set.turn.fetch_add(1, std::memory_order_relaxed) & 1) != 0;
    if (kernel_first && count < most) count += kernel_events(set, events + count, most - count);
    const int room = most - count;
    Op op;
    op.verb = Verb::wait_set;
    op.set = &set.ready;
    op.value = news;
    op.events = std::span{told}.first(std::min<std::size_t>(kAtOnce, static_cast<std::size_t>(room)));
    const bool look_only = has_kernel || !block || count > 0;
    op.flags.dont_wait = look_only;
    if (!look_only) op.deadline = until;
    if (room > 0) service_->run(op);
    if (op.error == Errc::interrupted && count == 0 && block && has_news() && service_->now() < until) continue;
    if (op.error != Errc{} && count == 0) return negative(op.error);
    take(op);
    if (has_kernel && !kernel_first && count < most) count += kernel_events(set, events + count, most - count);
    if (count > 0 || !block) break;
    if (!look_only) break;  // the time is over
    op.reset();
    op.verb = Verb::wait_set;
    op.set = &set.ready;
    op.value = news;
    op.events = std::span{told}.first(std::min<std::size_t>(kAtOnce, static_cast<std::size_t>(most)));
    op.deadline = until;
    op.also_fd = set.kernel_fd;
    service_->run(op);
    take(op);
    if (count < most) count += kernel_events(set, events + count, most - count);
    if (count > 0) break;
    // No signal: there is something new in the set, or another thread has taken what the kernel's part had, or our own
    // eventfd rang.
    if (op.error == Errc::interrupted && (op.also_ready || has_news())) {
      set.look_again(*service_);
      if (service_->now() < until) continue;
      break;
    }
    if (op.error != Errc{}) return negative(op.error);
    break;
  }
  set.look_again(*service_);
  return count;
}

int Sockets::epoll_pwait2(int set_fd, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask) {
  Instant until = Instant::never();
  if (const int bad = deadline_of(timeout, service_->now(), until); bad != 0) return bad;
  std::shared_ptr<EpollSet> set;
  if (most <= 0) return -EINVAL;
  if (const int bad = find_set(set_fd, set); bad != 0) return bad;
  if (events == nullptr) return -EFAULT;
  const bool block = timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
  if (!block) return wait_set(*set, events, most, until, false);  // Linux: a signal stays where it is
  const auto wait = [&](bool waits) { return wait_set(*set, events, most, until, waits); };
  return wait_masked(mask, EndedBy::any, true, wait);
}

int Sockets::epoll_pwait(int set_fd, epoll_event* events, int most, int timeout_ms, const sigset_t* mask) {
  if (timeout_ms < 0) return epoll_pwait2(set_fd, events, most, nullptr, mask);
  const timespec t{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
  return epoll_pwait2(set_fd, events, most, &t, mask);
}

}  // namespace leat::posix
