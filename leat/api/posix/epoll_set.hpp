#pragma once
// EpollSet: what an epoll descriptor names: Leat's sockets in a ReadySet, and kernel descriptors in the kernel's own
// epoll instance, of which the set's descriptors are duplicates. So a set holds both, and a wait sees both: it parks an
// operation on the ReadySet and lets the kernel's part end it (Op::also_fd).
//
// exported: readiness of the Leat part shown to the kernel, for a set that is itself watched by a kernel epoll, poll
// or select: an eventfd in the kernel instance, written by an operation that waits for the ReadySet.
//
// Threading: `members` and what is said of the kernel's part under the mutex of Sockets; `ready` belongs to the engine.

#include <sys/epoll.h>

#include <atomic>
#include <leat/api/posix/open_file.hpp>
#include <leat/op/service.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace leat::posix {

// `tag` keeps the events as epoll_ctl was given them.
struct EpollMember : SetMember {};

class EpollSet : public std::enable_shared_from_this<EpollSet> {
 public:
  // Takes the kernel's instance.
  explicit EpollSet(int fd) : kernel_fd(fd) {}
  ~EpollSet();
  EpollSet(const EpollSet&) = delete;
  EpollSet& operator=(const EpollSet&) = delete;

  // Shows readiness of the Leat part to the kernel from now on. 0, or -errno. Under the mutex.
  int export_readiness(Service& service);
  // Somebody has looked at the Leat part: the kernel is told again only of what is there then.
  void look_again(Service& service);
  [[nodiscard]] bool exported() const { return event_fd_.load(std::memory_order_acquire) >= 0; }
  // The eventfd, as it comes out of the kernel instance.
  static constexpr std::uint64_t kOwnEvent = 0xfeed'1ea7'0000'0001ULL;

  const int kernel_fd;  // its own: the numbers that programs know come and go
  ReadySet ready;
  // Linux names an entry by file and number: an entry outlives its number while a duplicate is open.
  using Key = std::pair<std::uint64_t, int>;
  std::map<Key, std::unique_ptr<EpollMember>> members;
  std::atomic<int> kernel_members{0};  // ever added: the kernel drops those that are closed by itself
  std::atomic<std::uint32_t> turn{0};  // whose part is looked at first
  // Moves when there is something new that is not in `ready`: who waits looks again. Written by wake(), read before a
  // wait (acquire), which ends when it has moved meanwhile.
  std::atomic<std::int64_t> news{0};
  void wake(Service& service);
  // Sockets in the set with completions of MSG_ZEROCOPY that nobody has read. Under the mutex; the flag is read without
  // it, behind `news`.
  struct ZeroCopy {
    Key key;
    OpenFile* open;
  };
  std::vector<ZeroCopy> zero_copy;
  std::atomic<bool> has_zero_copy{false};

 private:
  void arm(Service& service);

  std::mutex export_mutex_;
  std::atomic<int> event_fd_{-1};
  // Written by the completion (any thread, release), read under export_mutex_ (acquire): the operation may be used
  // again.
  std::atomic<bool> waiting_{false};
  std::shared_ptr<EpollSet> self_;  // while the operation waits
  Op wait_;
};

[[nodiscard]] Ready wanted_of(std::uint32_t events);
[[nodiscard]] std::uint32_t events_of(Ready ready, std::uint32_t asked);

}  // namespace leat::posix
