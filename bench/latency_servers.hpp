#pragma once
// The servers of `leat bench latency`: one TCP echo, by the kernel's sockets over a veth pair, by Leat over a TAP in
// the POSIX, the channel and the event form, or by no stack at all (bare_echo.hpp): a wait, a read and a write on the
// TAP for each frame, which is the floor of what any stack there can reach. Each one fills a process of its own, which
// is pinned before the stack is made, and serves one connection after the other until it is killed.

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string_view>

namespace leat::bench {

enum class EchoForm : std::uint8_t { linux_sockets, posix, channel, event, floor };
inline constexpr std::array kEchoForms{EchoForm::linux_sockets, EchoForm::posix, EchoForm::channel, EchoForm::event,
                                       EchoForm::floor};
[[nodiscard]] std::string_view name_of(EchoForm form);  // the value of the key `form`

struct EchoSetting {
  EchoForm form = EchoForm::linux_sockets;
  std::size_t cpu = 0;  // that the server stays on
  bool spin = false;    // looks again and again for kEchoSpinMs before it sleeps
};
inline constexpr int kEchoSpinMs = 20;
inline constexpr std::uint16_t kEchoPort = 7;
inline constexpr std::size_t kEchoBuffer = 65536;

// Each form has a network of its own: the client's side and the server's.
[[nodiscard]] std::uint32_t client_address(EchoForm form);
[[nodiscard]] std::uint32_t server_address(EchoForm form);
// The client's end of the veth pair, which the kernel's server makes from its own namespace.
inline constexpr std::string_view kVethClient = "latclient";

// What a server says once, when it listens or when it can't.
struct EchoReport {
  bool ok = false;
  bool unable = false;  // the machine lacks something; else it is a fault of ours
  std::array<char, 400> why{};
  void fail(std::string_view text);
  void fail(const std::exception& e);
  void throw_unless_ok(std::string_view who) const;
};

// Stays on this CPU. False where there is none of that number.
bool stay_on_cpu(std::size_t cpu);
// CUBIC, else Reno, and no Nagle: on the kernel's sockets of both sides.
void prepare_kernel_socket(int fd);

// Writes its report to `report_to`; returns only when that said no.
void serve_echo(const EchoSetting& setting, int report_to);

}  // namespace leat::bench
