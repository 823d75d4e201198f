// The echo server of README.md, as it stands there.

#include "wire_in_memory.hpp"

#define Host HostOnAWire  // NOLINT(readability-identifier-naming): the page's word
#include README_PAGE
