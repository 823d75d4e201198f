#pragma once
// Commands and responses: what a program asks of a stack, and what it is told, as plain values. A Request turns one
// command into the operations (op/op.hpp) that do it, one after the other, and their results into one response.
//
//   command                     response            command                     response
//   SetIps                      Ok                  UdpBind                     Bound
//   Control                     Ok                  UdpSend                     Sent
//   TcpListen                   Listening           UdpRecv                     RecvFrom
//   TcpAccept                   Accepted            RawOpen                     Opened
//   TcpConnect                  Connected           RawSend                     Sent
//   TcpSend                     Sent (n >= 1)       RawRecv                     RecvFrom
//   TcpRecv                     Recv or Finished    SendMany                    SentMany (datagrams)
//   TcpShutdown                 Ok                  RecvMany                    ReceivedMany (datagrams)
//   TcpFinish                   Ok                  Close                       Ok (of every kind of socket)
//                                                   ... and Error for each
//
// A command that must not wait may be answered WouldBlock; for the others the stack keeps the command on its socket and
// no one sees it. Spans and pointers name the caller's memory, which stays until the response is there.
//
// Threading: values; a Request belongs to its caller.

#include <leat/api/channel/error.hpp>
#include <leat/op/op.hpp>
#include <optional>
#include <variant>

namespace leat::channel {

// --- commands --------------------------------------------------------------------------------------------------------

struct SetIps {  // these addresses of the interface and no others
  InterfaceId interface = 1;
  std::span<const IpPrefix> prefixes{};
};
struct Control {  // everything else of op/control.hpp: routes, interfaces, options, lists, counters
  ControlRequest* request = nullptr;
};
struct TcpListen {
  Endpoint local{};  // an unspecified address: every one, `::` both versions; port 0: the stack chooses
  std::uint32_t backlog = 128;
};
struct TcpAccept {
  Handle listener{};
};
struct TcpConnect {
  Endpoint remote{};
  Endpoint local{};  // unspecified address and port 0: the stack chooses
};
struct TcpSend {
  Handle socket{};
  ByteSpan bytes{};
};
struct TcpRecv {
  Handle socket{};
  MutableByteSpan to{};
};
struct TcpShutdown {
  Handle socket{};
  ShutdownHow how = ShutdownHow::write;
};
struct TcpFinish {  // FIN behind what was sent, and an answer when the peer has acknowledged it all
  Handle socket{};
};
struct UdpBind {
  Endpoint local{};
};
struct UdpSend {
  Handle socket{};
  Endpoint to{};
  ByteSpan bytes{};
};
struct UdpRecv {
  Handle socket{};
  MutableByteSpan to{};
};
struct RawOpen {
  IpVersion version = IpVersion::v4;
  std::uint8_t protocol = 0;
};
struct RawSend {
  Handle socket{};
  IpAddress to{};
  ByteSpan bytes{};
};
struct RawRecv {
  Handle socket{};
  MutableByteSpan to{};
};
// Many datagrams by one command, of UDP and raw sockets (whose endpoints have no port). SendMany waits until all are
// taken; RecvMany for at least one, and takes what is there.
struct SendMany {
  Handle socket{};
  std::span<const OutDatagram> datagrams{};
};
struct RecvMany {
  Handle socket{};
  std::span<InDatagram> into{};
};
struct Close {
  Handle socket{};
};
using Command =
    std::variant<SetIps, Control, TcpListen, TcpAccept, TcpConnect, TcpSend, TcpRecv, TcpShutdown, TcpFinish, UdpBind,
                 UdpSend, UdpRecv, RawOpen, RawSend, RawRecv, SendMany, RecvMany, Close>;

// --- responses -------------------------------------------------------------------------------------------------------

struct Ok {};
struct WouldBlock {};
struct Bound {
  Handle socket;
  Endpoint local;
};
struct RecvFrom {
  std::size_t count = 0;
  Message message;
  // The whole length when the datagram was longer than the buffer.
  [[nodiscard]] std::optional<std::size_t> truncated() const {
    return message.full_size > count ? std::optional{message.full_size} : std::nullopt;
  }
};
struct Listening {
  Handle listener;
  Endpoint local;
};
struct Accepted {
  Handle socket;
  Endpoint remote;
};
struct Connected {
  Handle socket;
  Endpoint local, remote;
  bool in_progress = false;  // a command that must not wait: the handshake goes on
};
struct Sent {
  std::size_t count = 0;
};
struct Recv {
  std::size_t count = 0;
};
struct SentMany {  // fewer than asked: the next one can't be sent, or the time was over
  std::size_t datagrams = 0;
};
struct ReceivedMany {
  std::size_t datagrams = 0;
};
struct Finished {};  // the peer will send no more
struct Opened {
  Handle socket;
};
using Response = std::variant<Ok, Error, WouldBlock, Bound, RecvFrom, Listening, Accepted, Connected, Sent, Recv,
                              SentMany, ReceivedMany, Finished, Opened>;

// --- a command under way ---------------------------------------------------------------------------------------------

// What is wrong with the command itself, before anybody is asked.
[[nodiscard]] BadRequest check(const Command& command);

//   for (bool more = r.begin(); more; more = r.advance()) service.run(r.op);
//   use(r.response);
//
// After an error what was opened on the way is closed again. Every operation has `op.deadline` and the no-wait flag.
class Request {
 public:
  explicit Request(const Command& command, Instant deadline = Instant::never(), bool dont_wait = false)
      : command_(command), deadline_(deadline), dont_wait_(dont_wait) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  // True: `op` is to be run. False: the response is there.
  [[nodiscard]] bool begin();
  // After `op` is complete: what is next.
  [[nodiscard]] bool advance();
  // The operation under way was ended from outside, or was complete and nobody went on: what it did becomes `response`.
  void finish_withdrawn();
  // The socket that was opened on the way, if any.
  [[nodiscard]] Handle opened() const { return opened_; }

  Op op;
  Response response;

 private:
  enum class Step : std::uint8_t { open, bind, listen, connect, local, only, clean_up };
  bool run_step(Step step);
  bool after(Step step);
  bool fail_with(Errc error);
  bool answer(Response r) {
    response = r;
    finished_ = true;
    return false;
  }
  void prepare_only();
  bool answer_only();

  Command command_;
  Instant deadline_;
  bool dont_wait_;
  Step step_ = Step::only;
  Handle opened_;
  bool finished_ = false;
  bool in_progress_ = false;
  Message message_;
  ControlRequest control_;
};

}  // namespace leat::channel
