// examples/echo_server.cpp, as it stands there.

#include "wire_in_memory.hpp"

#define Host HostOnAWire                   // NOLINT(readability-identifier-naming): the page's word
#include "../../examples/echo_server.cpp"  // NOLINT(bugprone-suspicious-include)
