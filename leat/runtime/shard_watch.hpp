#pragma once
// ShardWatch: what a shard's watcher looks at, as one descriptor: an epoll set of the devices' descriptors, a timer and
// a bell (rule 8 of shared-stack-protocol.md calls it E). It becomes readable when the shard has something to do, and
// stands in the sets of those who may watch, or in the program's own.
//
// The timer and the bell report once: drain() takes what they said, devices stay readable until they are read.
// Threading: kick() from any thread, all else under the token.

#include <leat/base/result.hpp>
#include <leat/base/time.hpp>
#include <leat/device/descriptor.hpp>
#include <vector>

namespace leat {

class ShardWatch {
 public:
  struct Drained {
    bool timer = false;
    bool kick = false;
  };
  [[nodiscard]] static Result<ShardWatch> make();

  // Errc::io_error when the kernel can't watch it. `plain`: the descriptor is the device's, not a set's.
  Result<void> add_device(int fd, bool plain);
  void remove_device(int fd);
  // The plain descriptor of the only device; -1: there are others, or none.
  [[nodiscard]] int only_device() const { return devices_.size() == 1 ? plain_ : -1; }
  // Somebody looks at this device by himself, or no longer: it makes the set readable only when nobody does.
  void mute_device(int fd, bool mute);
  // Replaces the one before.
  void set_timer(Instant when);
  void kick() const;
  Drained drain();
  [[nodiscard]] int fd() const { return epoll_.get(); }

 private:
  ShardWatch() = default;
  Descriptor epoll_;
  std::vector<int> devices_;  // descriptors that were added
  int plain_ = -1;            // the device that was added last, when it is plain
  Descriptor timer_;
  Descriptor bell_;
};

}  // namespace leat
