// A TCP echo server on a stack of its own. As root, or inside `unshare -Urn`:
//
//   build/release/bin/example_echo_server &
//   ip address add 10.9.0.1/24 dev leat0
//   echo hello | curl -s telnet://10.9.0.2:7
#include <leat/runtime/host.hpp>
using namespace leat;

int main() {
  Host host;
  if (!host.open_tap("leat0", {"10.9.0.2/24", "fd09::2/64"})) return 2;
  const auto echo = [](StreamConnection& c) {  // called whenever `c` can go on
    std::array<std::uint8_t, 16384> data;
    for (IoCount got; c.pending() == 0 && (got = c.read(data)).count > 0;) c.write({data.data(), got.count});
    if (c.at_end()) c.close();
  };
  if (!host.serve(Port(7), echo)) return 2;
  host.run();  // until Ctrl-C
}
