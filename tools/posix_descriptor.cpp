#include "posix_descriptor.hpp"

#include <netinet/in.h>

#include <cerrno>
#include <leat/api/posix/address.hpp>
#include <leat/base/error_table.hpp>

namespace leat::tools {

PosixAddress::PosixAddress(const Endpoint& e) : length(posix::write_address(e, true, storage)) {}

Endpoint PosixAddress::endpoint() {
  posix::GivenAddress given;
  if (posix::read_address(get(), length, true, posix::AddressUse::send_datagram, given) != 0) return {};
  return given.endpoint;
}

Errc errc_of_posix(long answer) {
  const int number = static_cast<int>(-answer);
  if (number == EAGAIN) return Errc::timed_out;  // a blocking call whose SO_RCVTIMEO or SO_SNDTIMEO passed
  for (const ErrorInfo& e : error_table())
    if (e.errno_number == number) return e.code;
  return number == ENETDOWN ? Errc::shut_down : Errc::io_error;
}

Result<PosixDescriptor> open_posix(const std::shared_ptr<posix::Sockets>& net, int type, const Endpoint& local) {
  const int fd = net->socket(AF_INET6, type, 0);
  if (fd < 0) return fail(errc_of_posix(fd));
  PosixDescriptor d(net, fd);
  const int off = 0;
  (void)net->setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (local == Endpoint{}) return d;
  PosixAddress at(local);
  if (const int answer = net->bind(fd, at.get(), at.length); answer < 0) return fail(errc_of_posix(answer));
  return d;
}

}  // namespace leat::tools
