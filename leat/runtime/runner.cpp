#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/runner.hpp>

namespace leat {

namespace {

// A device that is full tells no one when it has room again: look after this time.
constexpr Duration kBlockedRetry = Duration::us(100);
// A busy loop looks at its other descriptors every so many turns.
constexpr unsigned kTurnsPerLook = 16;

bool add_to_epoll(int epoll, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Runner::Runner(WaitPolicy policy)
    : policy_(policy), epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  LEAT_ASSERT(epoll_ >= 0 && wake_ >= 0);
  LEAT_ASSERT(add_to_epoll(epoll_, wake_, EPOLLIN));
  now_ = monotonic_now();
}

Runner::~Runner() {
  stop();
  ::close(wake_);
  ::close(epoll_);
}

void Runner::add(Shard& shard) {
  shards_.push_back(&shard);
}

void Runner::remove(Shard& shard) {
  std::erase(shards_, &shard);
  watch_devices();
}

bool Runner::watch(int fd, std::uint32_t events, std::function<void(std::uint32_t)> ready) {
  unwatch(fd);
  if (!add_to_epoll(epoll_, fd, events)) return false;
  watches_[fd] = std::make_shared<std::function<void(std::uint32_t)>>(std::move(ready));
  return true;
}

void Runner::unwatch(int fd) {
  if (watches_.erase(fd) > 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

Runner::TimerId Runner::after(Duration delay, Task task) {
  const TimerId id = next_timer_++;
  const Instant when = monotonic_now() + delay;
  timers_.emplace(std::pair{when, id}, std::move(task));
  timer_times_.emplace(id, when);
  return id;
}

void Runner::cancel(TimerId timer) {
  const auto at = timer_times_.find(timer);
  if (at == timer_times_.end()) return;
  timers_.erase({at->second, timer});
  timer_times_.erase(at);
}

Runner::End Runner::run(Instant until) {
  return loop([] { return false; }, until) == LoopEnd::deadline ? End::deadline : End::stopped;
}

bool Runner::run_until(const std::function<bool()>& done, Instant until) {
  return loop(done, until) == LoopEnd::done;
}

Runner::LoopEnd Runner::loop(const std::function<bool()>& done, Instant until) {
  owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  const LoopEnd end = turns_until(done, until);
  owner_.store({}, std::memory_order_relaxed);
  return end;
}

Runner::LoopEnd Runner::turns_until(const std::function<bool()>& done, Instant until) {
  unsigned busy_turns = 0;
  for (;;) {
    now_ = monotonic_now();
    run_posted();
    run_due_timers();
    Instant next = turn();
    if (done()) return LoopEnd::done;
    // A stop that comes with the deadline is a stop: it is told once.
    if (stop_.exchange(false, std::memory_order_relaxed)) return LoopEnd::stopped;
    if (now_ >= until) return LoopEnd::deadline;
    if (has_posted_.load(std::memory_order_relaxed)) continue;
    if (!timers_.empty()) next = earlier(next, timers_.begin()->first.first);
    if (policy_.spin > Duration{}) {
      if (const std::uint64_t moved = packets_moved(); moved != moved_) {
        moved_ = moved;
        last_packet_ = now_;
      }
      if (now_ - last_packet_ < policy_.spin) next = earlier(next, now_);
    }
    if (next > now_) {
      busy_turns = 0;
      sleep(earlier(next, until));
    } else if (++busy_turns % kTurnsPerLook == 0) {
      sleep(now_);
    }
  }
}

Instant Runner::turn() {
  ++turns_;
  Instant next = Instant::never();
  bool blocked = false;
  for (Shard* shard : shards_) {
    next = earlier(next, shard->turn(now_));
    blocked = blocked || shard->blocked();
  }
  // A shard that was turned later may have sent to one that was turned before, over a device in memory.
  if (shards_.size() > 1)
    for (Shard* shard : shards_)
      for (const DevicePort& port : shard->ports())
        if (port.attached()) next = earlier(next, port.device()->next_event());
  return blocked ? earlier(next, now_ + kBlockedRetry) : next;
}

void Runner::run_posted() {
  if (!has_posted_.load(std::memory_order_relaxed)) return;
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
    has_posted_.store(false, std::memory_order_relaxed);
  }
  for (const Task& task : tasks) task();
}

void Runner::run_due_timers() {
  // Those that are due now, not those that they arm.
  const TimerId limit = next_timer_;
  while (!timers_.empty() && timers_.begin()->first.first <= now_ && timers_.begin()->first.second < limit) {
    auto node = timers_.extract(timers_.begin());
    timer_times_.erase(node.key().second);
    node.mapped()();
  }
}

// Brings the epoll set up to date with the devices that are attached now. A handful of pointers to compare.
void Runner::watch_devices() {
  std::size_t seen = 0;
  bool same = true;
  for (Shard* shard : shards_)
    for (const DevicePort& port : shard->ports()) {
      if (!port.attached() || port.device()->poll_fd() < 0) continue;
      same = same && seen < devices_.size() && devices_[seen] == std::pair{port.device(), port.device()->poll_fd()};
      ++seen;
    }
  if (same && seen == devices_.size()) return;
  // A descriptor that was closed has left the set by itself.
  for (const auto& [device, fd] : devices_) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  devices_.clear();
  for (Shard* shard : shards_)
    for (const DevicePort& port : shard->ports()) {
      if (!port.attached() || port.device()->poll_fd() < 0) continue;
      add_to_epoll(epoll_, port.device()->poll_fd(), EPOLLIN);
      devices_.emplace_back(port.device(), port.device()->poll_fd());
    }
}

void Runner::sleep(Instant until) {
  watch_devices();
  std::array<epoll_event, 64> events;
  const Instant start = monotonic_now();
  const Duration left = until > start ? until - start : Duration{};
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(left.count_s());
  timeout.tv_nsec = static_cast<long>(left.count_ns() % 1'000'000'000);
  // Devices that are fed through memory must be told to ring us; what came meanwhile is looked at first.
  bool nothing = true;
  const auto each_device = [this](auto&& visit) {
    for (Shard* shard : shards_)
      for (const DevicePort& port : shard->ports())
        if (port.attached()) visit(*port.device());
  };
  if (left > Duration{}) each_device([&](AnyDevice& d) { nothing = d.before_sleep() && nothing; });
  if (!nothing) timeout = {};
  if (left > Duration{} && nothing) ++sleeps_;
  const bool for_ever = until.is_never() && nothing;
  int count =
      ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), for_ever ? nullptr : &timeout, nullptr);
  if (count < 0 && errno == ENOSYS) {  // before Linux 5.11: milliseconds, rounded up
    const std::int64_t ms = std::min<std::int64_t>((left.count_ns() + 999'999) / 1'000'000, 1'000'000);
    count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                         for_ever ? -1 : static_cast<int>(nothing ? ms : 0));
  }
  if (left > Duration{}) each_device([](AnyDevice& d) { d.after_sleep(); });
  if (count <= 0) return;
  now_ = monotonic_now();
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<std::size_t>(i)].data.fd;
    if (fd == wake_) {
      std::uint64_t value = 0;
      [[maybe_unused]] const ssize_t got = ::read(wake_, &value, sizeof value);
      continue;
    }
    const auto at = watches_.find(fd);
    if (at == watches_.end()) continue;  // a device, or a watch that ended just now
    const auto ready = at->second;       // stays alive when it removes itself
    (*ready)(events[static_cast<std::size_t>(i)].events);
  }
}

std::uint64_t Runner::packets_moved() const {
  std::uint64_t sum = 0;
  for (Shard* shard : shards_)
    for (const DevicePort& port : shard->ports()) {
      if (!port.attached()) continue;
      const DeviceCounters c = port.device()->counters();
      sum += c.rx_packets + c.tx_packets;
    }
  return sum;
}

void Runner::request_stop() {
  stop_.store(true, std::memory_order_relaxed);
  const int saved = errno;  // a signal handler leaves errno as it was
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t sent = ::write(wake_, &one, sizeof one);
  errno = saved;
}

void Runner::start() {
  LEAT_ASSERT(!thread_.joinable());
  thread_ = std::thread([this] { run(); });
}

void Runner::stop() {
  if (!thread_.joinable()) return;
  request_stop();
  thread_.join();
  stop_.store(false, std::memory_order_relaxed);
}

void Runner::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    has_posted_.store(true, std::memory_order_relaxed);
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t sent = ::write(wake_, &one, sizeof one);
}

void Runner::call(const Task& task) {
  if (owner_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
    task();
    return;
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  post([&] {
    task();
    const std::lock_guard lock(mutex);
    done = true;
    changed.notify_one();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return done; });
}

}  // namespace leat
