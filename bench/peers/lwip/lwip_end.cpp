// One lwIP stack at the end of a wire in memory, by its raw API on the caller's thread: tcpip_init is never called, so
// no thread of lwIP's own exists and its core lock is not taken.

#include "lwip_end.h"

#include <cstdint>
#include <cstring>

extern "C" {
#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>
}

namespace {

struct netif g_netif;
LwipWire* g_in = nullptr;
LwipWire* g_out = nullptr;
void (*g_give_back)(void*) = nullptr;
std::uint64_t g_received = 0, g_established = 0, g_closed = 0;
std::uint8_t g_application[65536];  // where the application's copies land

err_t link_output(netif*, pbuf* p) {
  if (g_out->count == LEAT_LWIP_RING) return ERR_MEM;  // a full wire: lwIP sends it again
  pbuf_ref(p);
  g_out->frames[(g_out->head + g_out->count) % LEAT_LWIP_RING] = p;
  ++g_out->count;
  ++g_out->passed;
  return ERR_OK;
}

err_t init_netif(netif* n) {
  n->name[0] = 'm';
  n->name[1] = '0';
  n->mtu = 1500;
  n->output = etharp_output;
  n->linkoutput = link_output;
  n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
  return ERR_OK;
}

// The application's copy out of a received chain.
void consume(tcp_pcb* pcb, pbuf* p) {
  pbuf_copy_partial(p, g_application, p->tot_len, 0);
  g_received += p->tot_len;
  tcp_recved(pcb, p->tot_len);
}

err_t on_receive(void* mode, tcp_pcb* pcb, pbuf* p, err_t) {
  if (p == nullptr) {
    tcp_arg(pcb, nullptr);
    tcp_recv(pcb, nullptr);
    ++g_closed;
    if (mode != nullptr) tcp_close(pcb);
    return ERR_OK;
  }
  consume(pcb, p);
  if (reinterpret_cast<std::uintptr_t>(mode) == kLwipEcho + 1U) {
    tcp_write(pcb, g_application, p->tot_len, TCP_WRITE_FLAG_COPY);  // lwIP itself sends when this returns
  }
  pbuf_free(p);
  return ERR_OK;
}

void set_up(tcp_pcb* pcb, LwipMode mode) {
  tcp_arg(pcb, reinterpret_cast<void*>(static_cast<std::uintptr_t>(mode) + 1U));
  tcp_recv(pcb, on_receive);
  tcp_nagle_disable(pcb);
}

err_t on_accept(void* mode, tcp_pcb* pcb, err_t error) {
  if (error != ERR_OK || pcb == nullptr) return ERR_VAL;
  set_up(pcb, static_cast<LwipMode>(reinterpret_cast<std::uintptr_t>(mode)));
  ++g_established;
  return ERR_OK;
}
err_t on_connected(void*, tcp_pcb*, err_t) {
  ++g_established;
  return ERR_OK;
}

void give_back(void* frame) {
  pbuf_free(static_cast<pbuf*>(frame));
}

void start(std::uint32_t address, const std::uint8_t* mac, LwipWire* in, LwipWire* out, void (*give)(void*)) {
  static bool initialised = false;
  if (initialised) return;
  initialised = true;
  g_in = in;
  g_out = out;
  g_give_back = give;
  lwip_init();
  ip4_addr_t ip, mask, gateway;
  ip4_addr_set_u32(&ip, lwip_htonl(address));
  IP4_ADDR(&mask, 255, 255, 0, 0);
  ip4_addr_set_zero(&gateway);
  g_netif.hwaddr_len = 6;
  netif_add(&g_netif, &ip, &mask, &gateway, nullptr, init_netif, ethernet_input);
  std::memcpy(g_netif.hwaddr, mac, 6);
  netif_set_default(&g_netif);
  netif_set_up(&g_netif);
}

std::size_t receive() {
  std::size_t n = 0;
  while (g_in->count > 0) {
    auto* theirs = static_cast<pbuf*>(g_in->frames[g_in->head]);
    pbuf* p = pbuf_alloc(PBUF_RAW, theirs->tot_len, PBUF_RAM);
    if (p == nullptr) break;
    pbuf_copy(p, theirs);
    g_in->head = (g_in->head + 1) % LEAT_LWIP_RING;
    --g_in->count;
    g_give_back(theirs);
    if (g_netif.input(p, &g_netif) != ERR_OK) pbuf_free(p);
    ++n;
  }
  return n;
}

int listen(std::uint16_t port, LwipMode mode) {
  tcp_pcb* pcb = tcp_new_ip_type(IPADDR_TYPE_V4);
  if (pcb == nullptr || tcp_bind(pcb, IP4_ADDR_ANY, port) != ERR_OK) return -1;
  tcp_pcb* listener = tcp_listen_with_backlog(pcb, 255);
  if (listener == nullptr) return -1;
  tcp_arg(listener, reinterpret_cast<void*>(static_cast<std::uintptr_t>(mode)));
  tcp_accept(listener, on_accept);
  return 0;
}

void* connect(std::uint32_t address, std::uint16_t port, LwipMode mode) {
  tcp_pcb* pcb = tcp_new_ip_type(IPADDR_TYPE_V4);
  if (pcb == nullptr) return nullptr;
  set_up(pcb, mode);
  ip_addr_t to;
  ip_addr_set_ip4_u32(&to, lwip_htonl(address));
  if (tcp_connect(pcb, &to, port, on_connected) == ERR_OK) return pcb;
  tcp_abort(pcb);
  return nullptr;
}

std::size_t write(void* connection, const void* data, std::size_t size) {
  auto* pcb = static_cast<tcp_pcb*>(connection);
  const auto* from = static_cast<const std::uint8_t*>(data);
  std::size_t done = 0;
  while (done < size && tcp_sndbuf(pcb) > 0) {
    const std::size_t room = tcp_sndbuf(pcb);
    std::size_t n = size - done < room ? size - done : room;
    if (n > 0xffff) n = 0xffff;
    if (tcp_write(pcb, from + done, static_cast<u16_t>(n), TCP_WRITE_FLAG_COPY) != ERR_OK) break;
    done += n;
  }
  tcp_output(pcb);
  return done;
}

void close(void* connection) {
  auto* pcb = static_cast<tcp_pcb*>(connection);
  tcp_arg(pcb, nullptr);  // the active closer: on_receive does not close again
  tcp_close(pcb);
}

void forget_time_wait() {
  while (tcp_tw_pcbs != nullptr) tcp_abort(tcp_tw_pcbs);
}

constexpr LwipEnd kEnd{start,
                       give_back,
                       receive,
                       sys_check_timeouts,
                       listen,
                       connect,
                       write,
                       close,
                       forget_time_wait,
                       [] { return g_received; },
                       [] { return g_established; },
                       [] { return g_closed; }};

}  // namespace

extern "C" __attribute__((visibility("default"))) const LwipEnd* leat_lwip_end() {
  return &kEnd;
}
