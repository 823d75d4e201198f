/* leat.h is C: compiled as C99, and a program in C does what one does. */
#include <errno.h>
#include <leat/c/leat.h>
#include <netinet/in.h>
#include <string.h>

/* Connects, sends a line, receives it again; 0 when it came back. */
int leat_c_echo(leat_stack *stack, const struct sockaddr_in6 *to) {
  char line[] = "hello from C\n", back[sizeof line];
  size_t got = 0;
  int fd = leat_socket(stack, AF_INET6, SOCK_STREAM, 0);
  if (fd < 0) return fd;
  int r = leat_connect(stack, fd, (const struct sockaddr *)to, sizeof *to);
  if (r < 0) return r;
  if (leat_send(stack, fd, line, sizeof line, MSG_NOSIGNAL) != (ssize_t)sizeof line) return -EIO;
  while (got < sizeof line) {
    ssize_t n = leat_recv(stack, fd, back + got, sizeof line - got, 0);
    if (n <= 0) return n < 0 ? (int)n : -EPIPE;
    got += (size_t)n;
  }
  leat_tcp_info info = {.size = sizeof info};
  r = leat_get_tcp_info(stack, fd, &info);
  if (r < 0 || info.state != 4 || info.bytes_acked < sizeof line) return -EPROTO;
  r = leat_close(stack, fd);
  return r < 0 ? r : memcmp(line, back, sizeof line);
}
