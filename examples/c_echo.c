/* Leat from C: an echo server in a thread, a client in another, each on a stack of its own, joined by a wire in memory. */
#include <arpa/inet.h>
#include <leat/c/leat.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct server {
  leat_stack *stack;
  int listener;
};

static void *serve(void *argument) {
  struct server *s = argument;
  char data[1024];
  ssize_t n;
  int fd = leat_accept(s->stack, s->listener, NULL, NULL, 0);
  while (fd >= 0 && (n = leat_recv(s->stack, fd, data, sizeof data, 0)) > 0)
    leat_send(s->stack, fd, data, (size_t)n, MSG_NOSIGNAL);
  if (fd >= 0) leat_close(s->stack, fd);
  return NULL;
}

static int fail(const char *what, int answer) {
  fprintf(stderr, "%s: %s\n", what, leat_strerror(answer));
  return 1;
}

int main(void) {
  leat_options options = LEAT_OPTIONS_INIT;
  const char *here[] = {"10.0.0.1/24"}, *there[] = {"10.0.0.2/24"};
  leat_stack *client, *stack;
  options.connections = 64;
  options.packet_memory = UINT64_C(16777216);
  int r = leat_create(&options, &client);
  if (r == 0) r = leat_create(&options, &stack);
  if (r == 0) r = leat_join(client, here, 1, stack, there, 1);
  if (r < 0) return fail("stacks", r);

  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)};
  struct server s = {stack, leat_socket(stack, AF_INET, SOCK_STREAM, 0)};
  if ((r = leat_bind(stack, s.listener, (struct sockaddr *)&a, sizeof a)) < 0) return fail("bind", r);
  if ((r = leat_listen(stack, s.listener, 8)) < 0) return fail("listen", r);
  pthread_t thread;
  pthread_create(&thread, NULL, serve, &s);

  const char text[] = "hello from C";
  char back[sizeof text] = "";
  int fd = leat_socket(client, AF_INET, SOCK_STREAM, 0);
  inet_pton(AF_INET, "10.0.0.2", &a.sin_addr);
  if ((r = leat_connect(client, fd, (struct sockaddr *)&a, sizeof a)) < 0) return fail("connect", r);
  leat_send(client, fd, text, sizeof text, 0);
  leat_recv(client, fd, back, sizeof back, MSG_WAITALL);
  printf("came back: %s\n", back);
  leat_close(client, fd);
  pthread_join(thread, NULL);
  leat_destroy(client);
  leat_destroy(stack);
  return strcmp(text, back) != 0;
}
