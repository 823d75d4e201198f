#include <sys/mman.h>
#include <unistd.h>

#include <leat/runtime/memory_map_unsafe.hpp>
#include <vector>

namespace leat {

Result<MemoryMap> MemoryMap::reserve(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (bytes > SIZE_MAX - page) return fail(Errc::no_memory);
  const std::size_t size = bytes == 0 ? page : (bytes + page - 1) / page * page;
  // MAP_NORESERVE: address space only; the kernel does not count it as promised memory.
  void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return fail(Errc::no_memory);
  ::madvise(base, size, MADV_DONTDUMP);  // a core file of packet memory helps nobody and may hold secrets
  return MemoryMap{static_cast<std::uint8_t*>(base), size};
}

MemoryMap::~MemoryMap() {
  if (base_ != nullptr) ::munmap(base_, size_);
}

std::uint8_t* MemoryMap::take_bytes(std::size_t count) {
  const std::size_t start = (taken_ + kAlignment - 1) / kAlignment * kAlignment;
  LEAT_ASSERT(start <= size_ && count <= size_ - start);
  taken_ = start + count;
  return base_ + start;
}

std::size_t MemoryMap::resident() const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  constexpr std::size_t kPagesAtOnce = 65536;
  std::vector<unsigned char> in_core(kPagesAtOnce);
  std::size_t resident = 0;
  for (std::size_t at = 0; at < size_; at += kPagesAtOnce * page) {
    const std::size_t length = size_ - at < kPagesAtOnce * page ? size_ - at : kPagesAtOnce * page;
    if (::mincore(base_ + at, length, in_core.data()) != 0) return 0;
    for (std::size_t i = 0; i < length / page; ++i) resident += (in_core[i] & 1U) != 0 ? page : 0;
  }
  return resident;
}

}  // namespace leat
