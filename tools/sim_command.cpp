// sim: a transfer between two hosts of the simulator over a bad link.

#include <array>
#include <cstdio>
#include <leat/base/checksum.hpp>
#include <leat/core/all_modules.hpp>
#include <leat/sim/transfer.hpp>

#include "commands.hpp"
#include "json.hpp"
#include "log.hpp"
#include "node.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

template <class T>
T must(const std::optional<T>& value, std::string_view option, std::string_view text, std::string_view form) {
  if (!value) throw Failure(cat(option, ": '", text, "' is not understood"), cat("write it as ", form));
  return *value;
}

std::uint32_t chance(const std::string& text, std::string_view option) {
  return text.empty() ? 0 : must(parse_ppm(text), option, text, "2%");
}

std::string hex(std::uint64_t value) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

// Every kernel gives the same sums, and so the same capture: scripts/determinism compares them.
void choose_checksum_kernel(const std::string& name) {
  struct Choice {
    std::string_view name;
    ChecksumKernel kernel;
  };
  constexpr std::array kChoices{Choice{"scalar", ChecksumKernel::scalar}, Choice{"avx2", ChecksumKernel::avx2},
                                Choice{"avx512", ChecksumKernel::avx512}};
  for (const Choice& choice : kChoices) {
    if (choice.name != name) continue;
    if (!checksum_kernel_supported(choice.kernel))
      throw Failure(cat("--checksums: this processor has no ", name), "take scalar, or leave the option out");
    return set_checksum_kernel(choice.kernel);
  }
  throw Failure(cat("--checksums: no kernel '", name, "'"), "take scalar, avx2 or avx512");
}

sim::TransferOptions options_of(const Arguments& a) {
  sim::TransferOptions o;
  o.modules = &kAllModules;
  o.seed = a.seed;
  o.bytes = must(parse_size(a.bytes), "--bytes", a.bytes, "10M");
  o.mtu = a.mtu;
  if (a.mtu < 68 || a.mtu > 65535) throw Failure(cat("MTU ", a.mtu, " is not possible"), "take one from 68 to 65535");
  o.rtt = must(parse_duration(a.rtt), "--rtt", a.rtt, "40ms");
  if (!a.jitter.empty()) o.jitter = must(parse_duration(a.jitter), "--jitter", a.jitter, "2ms");
  o.loss_ppm = chance(a.loss, "--loss");
  o.reorder_ppm = chance(a.reorder, "--reorder");
  o.duplicate_ppm = chance(a.duplicate, "--duplicate");
  o.corrupt_ppm = chance(a.corrupt, "--corrupt");
  if (!a.rate.empty()) o.rate_bps = must(parse_size(a.rate), "--rate", a.rate, "100M");
  o.queue_packets = a.queue;
  if (!a.congestion.empty()) {
    if (a.congestion != "newreno" && a.congestion != "cubic")
      throw Failure(cat("--cc: no congestion control '", a.congestion, "'"), "take newreno or cubic");
    o.options.emplace_back(OptionId::tcp_congestion, parse_option_value(OptionId::tcp_congestion, a.congestion));
  }
  o.pcap_path = a.pcap;
  return o;
}

}  // namespace

int run_sim(const Arguments& a) {
  sim::TransferOptions options = options_of(a);
  if (!a.checksum_kernel.empty()) choose_checksum_kernel(a.checksum_kernel);
  if (!a.pcap.empty()) {
    std::FILE* probe = std::fopen(a.pcap.c_str(), "wb");
    if (probe == nullptr)
      throw Failure(cat("can't write the capture ", a.pcap), "give --pcap a file in a folder that is there");
    std::fclose(probe);
  }
  Progress progress("sim", options.bytes);
  if (stderr_is_terminal()) options.on_progress = [&](std::uint64_t delivered) { progress.update(delivered); };
  const sim::TransferReport r = sim::run_transfer(options);
  progress.finish();
  const double seconds = static_cast<double>(r.elapsed.count_ns()) / 1e9;
  if (a.json) {
    Value v;
    v.set("ok", r.ok)
        .set("seed", r.seed)
        .set("bytes", r.bytes_to_server)
        .set("virtual_seconds", seconds)
        .set("goodput_bit_per_s", r.goodput_bps)
        .set("packets_there", r.there.submitted)
        .set("packets_back", r.back.submitted)
        .set("lost", r.there.lost + r.back.lost)
        .set("reordered", r.there.reordered + r.back.reordered)
        .set("duplicated", r.there.duplicated + r.back.duplicated)
        .set("corrupted", r.there.corrupted + r.back.corrupted)
        .set("queue_full", r.there.queue_full + r.back.queue_full)
        .set("retransmitted_segments", r.retransmitted_segments)
        .set("timeouts", r.timeouts)
        .set("fast_retransmits", r.fast_retransmits)
        .set("capture_packets", r.capture_packets)
        .set("capture_hash", hex(r.capture_hash));
    if (!r.problem.empty()) v.set("problem", r.problem);
    if (r.error) v.set("error", error_text(*r.error));
    std::puts(v.dump().c_str());
  } else if (r.ok) {
    std::printf("seed %llu: %s in %s of virtual time, %s\n", static_cast<unsigned long long>(r.seed),
                bytes_text(static_cast<double>(r.bytes_to_server)).c_str(), time_text(seconds).c_str(),
                rate_text(static_cast<double>(r.goodput_bps)).c_str());
    std::fputs(table({{"packets", std::to_string(r.there.submitted + r.back.submitted)},
                      {"lost", std::to_string(r.there.lost + r.back.lost)},
                      {"reordered", std::to_string(r.there.reordered + r.back.reordered)},
                      {"duplicated", std::to_string(r.there.duplicated + r.back.duplicated)},
                      {"corrupted", std::to_string(r.there.corrupted + r.back.corrupted)},
                      {"dropped by the queue", std::to_string(r.there.queue_full + r.back.queue_full)},
                      {"retransmitted segments", std::to_string(r.retransmitted_segments)},
                      {"fast retransmits", std::to_string(r.fast_retransmits)},
                      {"time-outs", std::to_string(r.timeouts)},
                      {"capture hash", hex(r.capture_hash)}})
                   .c_str(),
               stdout);
  }
  if (r.ok) return kExitOk;
  if (r.capture_failed) throw Failure(r.problem, "make room on its disk");
  std::fprintf(stderr, "leat: %s\n", r.problem.c_str());  // it names the seed
  return kExitNegative;
}

}  // namespace leat::tools
