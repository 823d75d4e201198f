#include <leat/api/channel/give_back.hpp>
#include <memory>
#include <vector>

namespace leat::channel {
namespace {

// It belongs to the stack until that is through with it, and keeps the stack from nothing: it holds no Service.
struct Given {
  Given(Verb verb, Handle socket) {
    op.verb = verb;
    op.socket = socket;
    op.context = this;
    op.completed = [](Op& o) { delete static_cast<Given*>(o.context); };
  }
  Op op;
  std::vector<std::uint8_t> bytes;
  Message message;
};

}  // namespace

void give_back(Service& service, Handle socket, ByteSpan bytes, const Message& message, std::int64_t order) {
  auto given = std::make_unique<Given>(Verb::give_back, socket);
  given->bytes.assign(bytes.begin(), bytes.end());
  given->message = message;
  given->op.one_from = given->bytes;
  given->op.from = {&given->op.one_from, 1};
  given->op.message = &given->message;
  given->op.value = order;
  service.start(given.release()->op);
}

void give_back_many(Service& service, Handle socket, std::span<const InDatagram> datagrams) {
  for (const InDatagram& d : datagrams) give_back(service, socket, d.to.first(d.count), d.message, 0);
}

void give_back_connection(Service& service, Handle listener, Handle connection, const Endpoint& remote) {
  auto given = std::make_unique<Given>(Verb::give_accepted, listener);
  given->op.value = static_cast<std::int64_t>(connection.bits());
  given->op.endpoint = remote;
  service.start(given.release()->op);
}

}  // namespace leat::channel
