#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <leat/api/posix/descriptors.hpp>
#include <leat/api/posix/epoll_set.hpp>
#include <leat/base/assert.hpp>

namespace leat::posix {
namespace {

// Which numbers stand for sockets. Written by put() and take() of each table for its own numbers, read by any. Relaxed:
// who asks about another table's number knows it from somewhere.
std::array<std::atomic<bool>, Descriptors::kMost> stand_ins{};

}  // namespace

bool Descriptors::stands_in(int fd) {
  return fd >= 0 && fd < kMost && stand_ins[static_cast<std::size_t>(fd)].load(std::memory_order_relaxed);
}

Descriptors::Descriptors() : anchor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Descriptors::~Descriptors() {
  if (anchor_ >= 0) ::close(anchor_);
  for (auto& chunk : slots_) delete chunk.load(std::memory_order_relaxed);
  for (auto& chunk : files_) delete chunk.load(std::memory_order_relaxed);
}

bool Descriptors::find(int fd, File& file) const {
  for (;;) {
    const std::uint64_t before = slot(fd);
    if (before == 0) return false;
    OpenFile& open = file_at(static_cast<std::uint32_t>(before & kIndex) - 1);
    file.open = &open;
    file.slot = before;
    // Acquire, so that the slot is read again after them.
    file.handle = Handle::from_bits(open.handle.load(std::memory_order_acquire));
    file.flags = open.flags.load(std::memory_order_acquire);
    file.phase = open.phase.load(std::memory_order_acquire);
    if (slot(fd) == before) return true;
  }
}

int Descriptors::reserve(int least) const {
  const int fd = ::fcntl(anchor_, F_DUPFD_CLOEXEC, least);
  if (fd < 0) return -errno;
  if (fd < kMost) return fd;
  ::close(fd);
  return -EMFILE;
}

int Descriptors::replace_number(int fd) const {
  if (fd < 0 || fd >= kMost) return -EBADF;
  const int r = ::dup3(anchor_, fd, O_CLOEXEC);
  return r < 0 ? -errno : r;
}

std::atomic<std::uint64_t>& Descriptors::slot_for(int fd) {
  auto& chunk = slots_[static_cast<std::size_t>(fd) / kChunk];
  if (chunk.load(std::memory_order_relaxed) == nullptr) chunk.store(new SlotChunk{}, std::memory_order_release);
  return (*chunk.load(std::memory_order_relaxed))[static_cast<std::size_t>(fd) % kChunk];
}

// Eventfds and epoll instances share one inode, which nothing else has but other descriptors without a file.
bool Descriptors::still_reserved(int fd) const {
  struct stat ours = {};
  struct stat now = {};
  return ::fstat(anchor_, &ours) == 0 && ::fstat(fd, &now) == 0 && ours.st_dev == now.st_dev &&
         ours.st_ino == now.st_ino;
}

void Descriptors::put(int fd, OpenFile& open, bool close_on_exec) {
  LEAT_ASSERT(fd >= 0 && fd < kMost);
  highest_ = std::max(highest_, fd + 1);
  ++open.descriptors;
  const std::uint64_t value = description_of(open) | (close_on_exec ? kCloseOnExec : 0);
  slot_for(fd).store(value, std::memory_order_release);
  stand_ins[static_cast<std::size_t>(fd)].store(!open.has(kSet), std::memory_order_relaxed);
}

OpenFile* Descriptors::take(int fd, bool keep_number) {
  const std::uint64_t value = slot(fd);
  if (value == 0) return nullptr;
  OpenFile& open = file_at(static_cast<std::uint32_t>(value & kIndex) - 1);
  slot_for(fd).store(0, std::memory_order_release);
  stand_ins[static_cast<std::size_t>(fd)].store(false, std::memory_order_relaxed);
  --open.descriptors;
  if (!keep_number) ::close(fd);
  return &open;
}

bool Descriptors::forget(int fd) {
  if (slot(fd) == 0 || slot_for(fd).exchange(0, std::memory_order_acq_rel) == 0) return false;
  stand_ins[static_cast<std::size_t>(fd)].store(false, std::memory_order_relaxed);
  return true;
}

void Descriptors::set_close_on_exec(int fd, bool on) {
  const std::uint64_t value = slot(fd);
  if (value == 0) return;
  slot_for(fd).store(on ? value | kCloseOnExec : value & ~kCloseOnExec, std::memory_order_release);
}

OpenFile* Descriptors::make() {
  std::uint32_t index = 0;
  if (free_ != 0) {
    index = free_ - 1;
    free_ = file_at(index).place;
  } else {
    if (made_ >= kMost) return nullptr;
    index = made_++;
    auto& chunk = files_[index / kChunk];
    if (chunk.load(std::memory_order_relaxed) == nullptr) chunk.store(new FileChunk{}, std::memory_order_release);
  }
  OpenFile& open = file_at(index);
  open.place = index;
  ++open.generation;
  return &open;
}

void Descriptors::free(OpenFile& open) {
  LEAT_ASSERT(open.descriptors == 0);
  open.handle.store(0, std::memory_order_relaxed);
  open.flags.store(0, std::memory_order_relaxed);
  open.phase.store(Phase::fresh, std::memory_order_relaxed);
  open.protocol.store(0, std::memory_order_relaxed);
  open.receive_timeout_ns.store(0, std::memory_order_relaxed);
  open.send_timeout_ns.store(0, std::memory_order_relaxed);
  open.pending_zero_copy.store(0, std::memory_order_relaxed);
  open.zero_copy_count = 0;
  open.memberships.clear();
  open.remembered.clear();
  open.name = {};
  open.set.reset();
  const std::uint32_t index = open.place;
  open.place = free_;
  free_ = index + 1;
}

}  // namespace leat::posix
