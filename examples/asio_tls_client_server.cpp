// TLS over Leat: boost::asio::ssl::stream over a stream_socket, both sides in one program. The certificate is made at
// start, signed by itself, and is what the client trusts.

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <leat/asio/asio.hpp>
#include <memory>
#include <string>
#include <thread>

#include "joined_stacks.hpp"

namespace net = boost::asio;
namespace ssl = boost::asio::ssl;
using net::use_awaitable;

using stream_socket = leat::asio::stream_socket;  // boost::asio::ip::tcp::socket

constexpr const char* kName = "leat.example";

struct Identity {
  std::string certificate;  // both as PEM
  std::string key;
};

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long n = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(n)};
}

Identity make_identity() {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x(X509_new(), X509_free);
  X509_set_version(x.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), 3600);
  X509_set_pubkey(x.get(), key.get());
  X509_NAME* const name = X509_get_subject_name(x.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(kName), -1, -1, 0);
  X509_set_issuer_name(x.get(), name);
  const std::string names = std::string("DNS:") + kName;
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  X509_add_ext(x.get(), extension, -1);
  X509_EXTENSION_free(extension);
  X509_sign(x.get(), key.get(), EVP_sha256());
  const std::unique_ptr<BIO, decltype(&BIO_free)> certificate_text(BIO_new(BIO_s_mem()), BIO_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> key_text(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(certificate_text.get(), x.get());
  PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(certificate_text.get()), text_of(key_text.get())};
}

net::awaitable<void> serve(leat::asio::acceptor& listener, ssl::context& context) {
  ssl::stream<stream_socket> stream(co_await listener.async_accept(use_awaitable), context);
  co_await stream.async_handshake(ssl::stream_base::server, use_awaitable);
  std::string line;
  const std::size_t n = co_await net::async_read_until(stream, net::dynamic_buffer(line), '\n', use_awaitable);
  std::printf("server: %s", line.substr(0, n).c_str());
  co_await net::async_write(stream, net::buffer("and hello to you\n", 17), use_awaitable);
  co_await stream.async_shutdown(use_awaitable);
}

net::awaitable<void> ask(stream_socket socket, net::ip::tcp::endpoint server, ssl::context& context) {
  ssl::stream<stream_socket> stream(std::move(socket), context);
  stream.set_verify_callback(ssl::host_name_verification(kName));
  co_await stream.lowest_layer().async_connect(server, use_awaitable);
  co_await stream.async_handshake(ssl::stream_base::client, use_awaitable);
  std::printf("client: %s, certificate verified\n", SSL_get_version(stream.native_handle()));
  co_await net::async_write(stream, net::buffer("hello over TLS\n", 15), use_awaitable);
  std::string answer;
  const auto [e, n] = co_await net::async_read(stream, net::dynamic_buffer(answer), net::as_tuple(use_awaitable));
  if (e != net::error::eof) throw boost::system::system_error(e);  // the server says when it has finished
  std::printf("client: %s", answer.c_str());
  co_await stream.async_shutdown(use_awaitable);
}

int main() {
  const JoinedStacks stacks;
  const Identity identity = make_identity();
  ssl::context for_server(ssl::context::tls_server);
  for_server.use_certificate(net::buffer(identity.certificate), ssl::context::pem);
  for_server.use_private_key(net::buffer(identity.key), ssl::context::pem);
  ssl::context for_client(ssl::context::tls_client);
  for_client.set_verify_mode(ssl::verify_peer);
  for_client.add_certificate_authority(net::buffer(identity.certificate));

  net::io_context io;
  leat::asio::attach(io, stacks.server());
  leat::asio::acceptor listener(io, {net::ip::tcp::v4(), 443});
  int failed = 0;
  net::co_spawn(io, serve(listener, for_server), [&](const std::exception_ptr& e) { failed += e ? 1 : 0; });
  std::thread server([&io] { io.run(); });

  net::io_context client;
  leat::asio::attach(client, stacks.client());
  const auto address = leat::asio::to_asio<net::ip::tcp::endpoint>({JoinedStacks::address(1), leat::Port{443}});
  int client_failed = 0;
  net::co_spawn(client, ask(stream_socket(client), address, for_client),
                [&](const std::exception_ptr& e) { client_failed += e ? 1 : 0; });
  client.run();
  server.join();
  return failed + client_failed;
}
