#pragma once
/* What the lwIP module offers: one lwIP stack with one Ethernet interface on a wire in memory. The module is opened
   twice in link namespaces of their own, so that two stacks with separate tables talk to each other, as two machines
   would. A frame on the wire is a pbuf of the stack that sent it; the receiver copies it into a pbuf of its own and
   gives it back. One thread. */

#include <stddef.h>
#include <stdint.h>

#define LEAT_LWIP_RING 1024

struct LwipWire {
  void* frames[LEAT_LWIP_RING];
  uint32_t head, count;
  uint64_t passed; /* frames so far */
};

enum LwipMode { kLwipSink = 0, kLwipEcho = 1 }; /* what an end does with what arrives */

struct LwipEnd {
  /* address in host order, /16; `give_back` returns a frame of the other end */
  void (*start)(uint32_t address, const uint8_t* mac, struct LwipWire* in, struct LwipWire* out,
                void (*give_back)(void*));
  void (*give_back)(void* frame);
  size_t (*receive)(void); /* processes all that waits; frames */
  void (*timers)(void);
  int (*listen)(uint16_t port, enum LwipMode mode);
  void* (*connect)(uint32_t address, uint16_t port, enum LwipMode mode); /* 0: no memory */
  size_t (*write)(void* connection, const void* data, size_t size);      /* what fits, copied; sent at once */
  void (*close)(void* connection);
  void (*forget_time_wait)(void); /* ends all TIME-WAIT connections */
  uint64_t (*received)(void);     /* payload bytes copied out so far */
  uint64_t (*established)(void);  /* connections that ever got there */
  uint64_t (*closed)(void);       /* connections whose end both sides know */
};

typedef const struct LwipEnd* (*LwipEndFunction)(void);
#define LEAT_LWIP_ENTRY "leat_lwip_end"
