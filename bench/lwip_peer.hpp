#pragma once
// lwIP as a peer in the same run: the same loads over a wire in memory between two lwIP stacks, on one thread. It is
// Debian's library, with the sizes that Debian compiled in: segments of at most 1,460 bytes (so MTU 1500 only) and
// windows of 64 KB. Without the module (liblwip was not there when Leat was built) open() gives nothing.

#include <cstdint>
#include <memory>
#include <string>

namespace leat::bench {

class LwipPeer {
 public:
  // Opens lib/leat/bench_lwip.so twice, beside this program or in `LEAT_LIB`. Null when it is not there; `why` says so.
  static LwipPeer* open(std::string* why = nullptr);

  struct Bulk {
    double seconds = 0;  // CPU time
    std::uint64_t frames = 0;
  };
  // One transfer of at least this many bytes.
  [[nodiscard]] Bulk bulk(std::uint64_t bytes);
  // ns of the server's side per echo of 100 bytes on a random one of `connections`. Connections stay for later calls.
  [[nodiscard]] double echo(std::uint32_t connections, std::uint32_t echoes);
  // Connections a second of CPU time: connect, accept, both close.
  [[nodiscard]] double connect_rate(std::uint32_t count);

  LwipPeer();
  ~LwipPeer();
  LwipPeer(const LwipPeer&) = delete;
  LwipPeer& operator=(const LwipPeer&) = delete;

 private:
  struct Pair;
  std::unique_ptr<Pair> pair_;
};

}  // namespace leat::bench
