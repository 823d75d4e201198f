// doctor: what works on this machine, found out by trying, and what makes the rest work.

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <leat/base/error_table.hpp>
#include <leat/device/memory_pipe.hpp>
#include <leat/device/shm/shm_unsafe.hpp>
#include <leat/device/tap_unsafe.hpp>
#include <leat/runtime/packet_memory.hpp>

#include "commands.hpp"
#include "json.hpp"
#include "plan.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

struct Finding {
  std::string name;
  bool works = false;
  std::string why;
  std::string fix;
};

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Opens a TAP for a moment; the kernel takes it back with the descriptor.
Finding try_tap_here(std::string_view kind) {
  auto memory = PacketMemory::make(hosted_pool_layout(std::size_t{1} << 22));
  if (!memory) return {"", false, "no address space for packets", "raise ulimit -v"};
  TapProblem why;
  auto tap = Tap::open({.name = "leatdoctor%d", .link = kind == "tun" ? LinkType::ip : LinkType::ethernet, .up = false},
                       memory->pool(), &why);
  if (!tap) return {"", false, std::string(why.cause), std::string(why.fix)};
  const TapInfo& info = tap->info();
  return {"", true,
          cat("opened one; vnet header ", info.vnet_header ? "yes" : "no", ", checksum offload ",
              info.checksum_offload ? "yes" : "no", ", super-segments ", info.tso4 && info.tso6 ? "yes" : "no"),
          ""};
}

// Runs the trial in a child, in namespaces of its own: nothing of it can be seen from outside, and what it may not do
// here it may do there. The child answers in text over a pipe: works, why, fix.
Finding try_in_child(int namespaces, std::string_view kind) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {"", false, std::strerror(errno), ""};
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    Finding f;
    if (namespaces != 0 && ::unshare(namespaces) != 0) {
      f = {"", false, cat("no namespace of its own: ", std::strerror(errno)), "run as root, or allow user namespaces"};
    } else {
      f = try_tap_here(kind);
    }
    const std::string answer = cat(f.works ? "1" : "0", "\n", f.why, "\n", f.fix, "\n");
    const ssize_t written = ::write(ends[1], answer.data(), answer.size());
    ::_exit(written == static_cast<ssize_t>(answer.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string answer;
  std::array<char, 512> piece{};
  for (ssize_t got = 0; (got = ::read(ends[0], piece.data(), piece.size())) > 0;)
    answer.append(piece.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  if (child > 0) ::waitpid(child, nullptr, 0);
  const auto lines = split(std::string_view(answer), '\n');
  if (child < 0 || lines.size() < 3) return {"", false, "the trial could not be run", ""};
  return {"", lines[0] == "1", std::string(lines[1]), std::string(lines[2])};
}

Finding try_tap(std::string_view kind) {
  // As root in a network namespace of its own, so that no interface flashes up among the machine's.
  Finding f = try_in_child(::geteuid() == 0 ? CLONE_NEWNET : 0, kind);
  if (!f.works && ::geteuid() == 0) f = try_in_child(0, kind);
  if (!f.works && ::geteuid() != 0) {
    if (const Finding inside = try_in_child(CLONE_NEWUSER | CLONE_NEWNET, kind); inside.works) {
      f.works = true;
      f.fix = "unshare -Urn leat ...";
      f.why = cat("only in a user namespace, where it has: ", inside.why, " (outside: ", f.why, ")");
    }
  }
  f.name = kind;
  return f;
}

// A frame through a pipe.
Finding try_memory() {
  Finding f{"memory", false, "", ""};
  auto memory = PacketMemory::make(hosted_pool_layout(std::size_t{1} << 22));
  if (!memory) {
    f.why = "no address space for packets";
    f.fix = "raise ulimit -v";
    return f;
  }
  std::array<Packet, 4> to_a, to_b;
  MemoryPipe pipe({.pool_a = &memory->pool(),
                   .pool_b = &memory->pool(),
                   .to_a = to_a,
                   .to_b = to_b,
                   .caps = {},
                   .mac_a = {},
                   .mac_b = {}});
  PacketBatch batch;
  Packet frame = memory->pool().allocate_for(64);
  if (frame) {
    const bool grown = frame.append(64).size() == 64;
    batch.push(std::move(frame));
    f.works = grown && pipe.a().tx(batch, Instant{}) == 1 && pipe.b().rx(batch, Instant{}) == 1;
  }
  f.why = f.works ? "a frame went through" : "a frame got lost";
  return f;
}

// Two ends in this process, and a frame from one to the other.
Finding try_shm() {
  Finding f{"shm", false, "", ""};
  auto memory = PacketMemory::make(hosted_pool_layout(std::size_t{1} << 22));
  auto pair = memory ? ShmPair::make({.frames = 4}, memory->pool(), memory->pool()) : fail(Errc::no_memory);
  if (!pair) {
    f.why = cat("no shared memory: ", error_info(pair.error()).sentence);
    f.fix = "raise ulimit -n and ulimit -v; the kernel must have memfd_create";
    return f;
  }
  PacketBatch batch;
  Packet frame = memory->pool().allocate_for(64);
  if (frame) {
    const bool grown = frame.append(64).size() == 64;
    batch.push(std::move(frame));
    f.works = grown && (*pair)->a().tx(batch, Instant{}) == 1 && (*pair)->b().rx(batch, Instant{}) == 1;
  }
  f.why = f.works ? "a frame went through" : "a frame got lost";
  return f;
}

std::vector<Finding> backends() {
  std::vector<Finding> all;
  for (const std::string_view kind : device_kinds())
    all.push_back(kind == "memory" ? try_memory() : kind == "shm" ? try_shm() : try_tap(kind));
  for (const std::string_view kind : later_device_kinds())
    all.push_back({std::string(kind), false, "not in this version", "take tap or memory"});
  return all;
}

std::string limit_text(rlim_t value) {
  return value == RLIM_INFINITY ? "unlimited" : std::to_string(value);
}

Finding check_limit(std::string_view name, int resource, rlim_t wanted, std::string_view for_what,
                    std::string_view fix) {
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
  const bool enough = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted;
  return {std::string(name), enough,
          cat(limit_text(limit.rlim_cur), ", at most ", limit_text(limit.rlim_max), "; ", for_what),
          enough ? "" : std::string(fix)};
}

std::vector<Finding> machine() {
  std::vector<Finding> all;
  utsname system{};
  ::uname(&system);
  all.push_back({"kernel", true,
                 cat(std::string_view(&system.sysname[0]), " ", std::string_view(&system.release[0]), " ",
                     std::string_view(&system.machine[0])),
                 ""});
  const int tun = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  const int tun_error = errno;
  if (tun >= 0) ::close(tun);
  all.push_back({"tun_node", tun >= 0,
                 tun >= 0 ? "/dev/net/tun opens" : cat("/dev/net/tun: ", std::strerror(tun_error)),
                 tun >= 0              ? ""
                 : tun_error == ENOENT ? "as root: mkdir -p /dev/net && mknod -m 0666 /dev/net/tun c 10 200"
                                       : "as root: chmod 0666 /dev/net/tun"});
  const std::string most = first_line("/proc/sys/user/max_user_namespaces");
  const std::string allowed = first_line("/proc/sys/kernel/unprivileged_userns_clone");
  const bool users = most != "0" && allowed != "0";
  all.push_back({"user_namespaces", users, users ? cat("up to ", most.empty() ? "?" : most) : "switched off",
                 users ? "" : "as root: sysctl user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1"});
  all.push_back(check_limit("memlock", RLIMIT_MEMLOCK, rlim_t{8} << 20,
                            "packet memory that devices map (later versions) must stay below it",
                            "as root: raise memlock in /etc/security/limits.conf"));
  all.push_back(
      check_limit("nofile", RLIMIT_NOFILE, 1024, "a file that is served needs one descriptor", "ulimit -n 1024"));
  const std::string overcommit = first_line("/proc/sys/vm/overcommit_memory");
  all.push_back({"overcommit", overcommit != "2", cat("vm.overcommit_memory ", overcommit),
                 overcommit == "2" ? "as root: sysctl vm.overcommit_memory=0, or take small limits" : ""});
  const std::string congestion = first_line("/proc/sys/net/ipv4/tcp_congestion_control");
  if (!congestion.empty()) all.push_back({"kernel_congestion_control", true, congestion, ""});
  for (const auto& [program, package] : {std::pair{"ip", "iproute2"}, {"ping", "iputils-ping"}, {"curl", "curl"}}) {
    bool found = false;
    for (const std::string_view folder : {"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/", "/usr/local/bin/"})
      found = found || ::access(cat(folder, std::string_view(program)).c_str(), X_OK) == 0;
    all.push_back({program, found, found ? "installed; the demo uses it" : "not installed",
                   found ? "" : cat("apt-get install --no-install-recommends ", std::string_view(package))});
  }
  return all;
}

Value to_value(const std::vector<Finding>& findings) {
  Value array = Value::Array{};
  for (const Finding& f : findings)
    array.push(Value{}.set("name", f.name).set("works", f.works).set("why", f.why).set("fix", f.fix));
  return array;
}

void print(std::string_view title, const std::vector<Finding>& findings) {
  std::vector<std::vector<std::string>> rows;
  for (const Finding& f : findings)
    rows.push_back({cat("  ", f.name), f.works ? "yes" : "no", f.fix.empty() ? f.why : cat(f.why, "; ", f.fix)});
  std::printf("%s\n%s", std::string(title).c_str(), table(rows).c_str());
}

}  // namespace

int run_doctor(const Arguments& a) {
  const std::vector<Finding> devices = backends();
  const std::vector<Finding> rest = machine();
  if (a.json) {
    std::puts(Value{}.set("backends", to_value(devices)).set("machine", to_value(rest)).dump(true).c_str());
  } else {
    print("Devices that work here:", devices);
    print("The machine:", rest);
  }
  return kExitOk;
}

}  // namespace leat::tools
