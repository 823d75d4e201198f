// leat_packetdrill_preload.so: for scripts that ask libc itself for TCP_INFO. With LD_PRELOAD it forwards getsockopt on
// Leat's descriptors to the plug-in, which registers itself here, and leaves all others to libc.

#include <dlfcn.h>
#include <sys/socket.h>

#include <cstring>

namespace {

using Getsockopt = int (*)(int, int, int, void*, socklen_t*);
Getsockopt forward = nullptr;

Getsockopt libc_getsockopt() {
  void* const found = ::dlsym(RTLD_NEXT, "getsockopt");
  Getsockopt f = nullptr;
  std::memcpy(&f, &found, sizeof f);
  return f;
}

}  // namespace

#define LEAT_EXPORT __attribute__((visibility("default")))

extern "C" LEAT_EXPORT void leat_packetdrill_register(Getsockopt f) {
  forward = f;
}

extern "C" LEAT_EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
  if (forward != nullptr)
    if (const int answer = forward(fd, level, name, value, length); answer <= 0) return answer;
  static const Getsockopt libc = libc_getsockopt();
  return libc(fd, level, name, value, length);
}
