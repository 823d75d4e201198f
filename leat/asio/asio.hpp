#pragma once
// Everything of leat::asio but the part for Beast (beast.hpp). Threading: see each.

#include <leat/asio/acceptor.hpp>
#include <leat/asio/context.hpp>
#include <leat/asio/stream_socket.hpp>
#include <leat/asio/udp_socket.hpp>
