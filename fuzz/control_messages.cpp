// Ancillary data of sendmsg() as any program may give it, and of recvmsg() into any room. The buffer is exactly as long
// as it is said to be. What was written whole is read back as it was.
// Input: a byte (1: an IPv6 socket; the rest: room in 4-byte steps), then the control buffer.
#include <netinet/in.h>

#include <cstdlib>
#include <leat/api/posix/control_messages.hpp>
#include <vector>

namespace {

using namespace leat;  // NOLINT(google-build-using-namespace)

void require(bool condition) {
  if (!condition) std::abort();
}

bool in_range(std::int16_t value, int least, int most) {
  return value >= least && value <= most;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool v6 = (data[0] & 1) != 0;
  const bool both = (data[0] & 2) != 0;  // a dual-stack socket's
  const posix::ControlLevels levels{.ip = !v6 || both, .ipv6 = v6 || both, .udp = both, .mapped = !v6};
  std::vector<std::uint8_t> control(data + 1, data + size);
  control.shrink_to_fit();
  msghdr m{};
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  posix::SendControl asked;
  const SendOverrides& to = asked.overrides;
  const SendOverrides nothing;
  const int bad = posix::read_control(m, levels, asked);
  require(bad == 0 || bad == -EINVAL);
  require(to.ttl == nothing.ttl || in_range(to.ttl, -1, 255));
  require(to.tos == nothing.tos || in_range(to.tos, -1, 255));

  // As recvmsg() writes them, into whatever room there is.
  std::vector<std::uint8_t> room(data[0] / 2 * std::size_t{4});
  msghdr out{};
  out.msg_control = room.data();
  out.msg_controllen = room.size();
  posix::ControlWriter writer(out);
  const int hops = 1 + data[0] % 255;
  std::size_t whole = 0;
  for (int i = 0; i < 4; ++i) {
    if (v6) {
      writer.put(IPPROTO_IPV6, IPV6_HOPLIMIT, hops);
    } else {
      writer.put(IPPROTO_IP, IP_TTL, hops);
    }
    if (!writer.truncated()) whole = writer.used();
  }
  if (!control.empty()) writer.put_bytes(SOL_SOCKET, 99, control.data(), control.size());
  require(writer.used() <= room.size());
  require(writer.truncated() || whole > 0);
  posix::SendControl back;
  out.msg_controllen = whole;
  require(posix::read_control(out, levels, back) == 0);
  require(back.overrides.ttl == (whole > 0 ? hops : nothing.ttl));
  return 0;
}
