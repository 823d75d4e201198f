#pragma once
// Descriptors: the table of descriptor numbers, and the open file descriptions that they name.
//
//   slot (8 bytes, atomic):  63..32 generation of the description   31 close-on-exec   30..0 its index + 1   0: not
//   ours
//
// Numbers are the kernel's: each is reserved by duplicating one anchor (255 ns), so that it never collides with a
// descriptor of the kernel's, fits fd_set and close() conventions, and RLIMIT_NOFILE is what limits them (EMFILE).
//
// find() takes no lock and writes nothing: it reads the slot, what it wants of the description, and the slot again.
// Slots and descriptions stand in chunks that are made when first needed and stay until the table ends.
//
// Complexity: O(1). Threading: find() and owns() from any thread; all else under one mutex of the caller's.

#include <array>
#include <leat/api/posix/open_file.hpp>

namespace leat::posix {

// What find() saw of a descriptor.
struct File {
  OpenFile* open = nullptr;
  std::uint64_t slot = 0;
  Handle handle;
  std::uint32_t flags = 0;
  Phase phase = Phase::fresh;
  [[nodiscard]] bool has(FileFlag f) const { return (flags & f) != 0; }
};

class Descriptors {
 public:
  Descriptors();
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  static constexpr int kMost = 1 << 20;

  [[nodiscard]] bool find(int fd, File& file) const;
  [[nodiscard]] bool owns(int fd) const { return slot(fd) != 0; }
  // The number stands for a socket, in this table or another one of the process: to the kernel it is an eventfd that
  // nobody rings.
  [[nodiscard]] static bool stands_in(int fd);
  // The number still names the description that `file` was read from.
  [[nodiscard]] bool still(int fd, const File& file) const { return ((slot(fd) ^ file.slot) & ~kCloseOnExec) == 0; }

  // A number that names nothing yet, at least `least`; -EMFILE.
  [[nodiscard]] int reserve(int least = 0) const;
  // The kernel has the number as it was reserved: nobody closed it past us and had it given to a file, socket or pipe.
  [[nodiscard]] bool still_reserved(int fd) const;
  // A number that was reserved, or a kernel descriptor that stands for one of ours, names the description.
  void put(int fd, OpenFile& open, bool close_on_exec);
  // The number names nothing any more, and goes back to the kernel unless `keep_number`. Returns what it named.
  OpenFile* take(int fd, bool keep_number = false);
  // The number is not ours any more, and nothing else happens: for a child after fork(). False: it was not.
  bool forget(int fd);
  [[nodiscard]] bool close_on_exec(int fd) const { return (slot(fd) & kCloseOnExec) != 0; }
  void set_close_on_exec(int fd, bool on);
  // Makes `fd` (anything or nothing before) a reserved number, for dup2(); -errno.
  [[nodiscard]] int replace_number(int fd) const;

  // A new description, with no descriptor; nullptr: too many.
  [[nodiscard]] OpenFile* make();
  void free(OpenFile& open);
  // Another one for each description that there ever was (generations count for each place alone).
  [[nodiscard]] static std::uint64_t description_of(const File& f) { return f.slot & ~kCloseOnExec; }
  [[nodiscard]] static std::uint64_t description_of(const OpenFile& open) {
    return std::uint64_t{open.generation} << 32 | (std::uint64_t{open.place} + 1);
  }
  [[nodiscard]] std::uint32_t generation_of(const File& f) const { return static_cast<std::uint32_t>(f.slot >> 32); }

  // One more than the highest number ever named.
  [[nodiscard]] int highest() const { return highest_; }
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (int fd = 0; fd < highest_; ++fd)
      if (owns(fd)) fn(fd);
  }

 private:
  static constexpr std::uint64_t kCloseOnExec = 1ULL << 31;
  static constexpr std::uint64_t kIndex = kCloseOnExec - 1;
  static constexpr std::size_t kChunk = 1024;
  using SlotChunk = std::array<std::atomic<std::uint64_t>, kChunk>;
  using FileChunk = std::array<OpenFile, kChunk>;

  [[nodiscard]] std::uint64_t slot(int fd) const {
    if (fd < 0 || fd >= kMost) return 0;
    const SlotChunk* const chunk = slots_[static_cast<std::size_t>(fd) / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? 0 : (*chunk)[static_cast<std::size_t>(fd) % kChunk].load(std::memory_order_acquire);
  }
  [[nodiscard]] OpenFile& file_at(std::uint32_t index) const {
    return (*files_[index / kChunk].load(std::memory_order_acquire))[index % kChunk];
  }
  std::atomic<std::uint64_t>& slot_for(int fd);

  // Chunk pointers are set once (release) under the caller's mutex and read by anybody (acquire).
  std::array<std::atomic<SlotChunk*>, kMost / kChunk> slots_{};
  std::array<std::atomic<FileChunk*>, kMost / kChunk> files_{};
  std::uint32_t made_ = 0;  // files that were ever used
  std::uint32_t free_ = 0;  // index + 1 of the first that is free again
  int highest_ = 0;         // one more than the highest number ever used
  int anchor_ = -1;
};

}  // namespace leat::posix
