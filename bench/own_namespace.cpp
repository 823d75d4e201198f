#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <bench/bench.hpp>
#include <bench/own_namespace.hpp>
#include <cerrno>
#include <cstring>
#include <leat/device/descriptor.hpp>

namespace leat::bench {
namespace {

void write_file(const char* path, const std::string& text) {
  const Descriptor f(::open(path, O_WRONLY | O_CLOEXEC));
  if (f) (void)!::write(f.get(), text.data(), text.size());
}

}  // namespace

void enter_own_namespace() {
  if (::unshare(CLONE_NEWNET) == 0) return;
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    throw Unable("no network namespace (" + std::string(std::strerror(errno)) +
                 "); run as root, or allow user namespaces, as root: sysctl user.max_user_namespaces=10000");
  }
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1");
  write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1");
}

}  // namespace leat::bench
