// Every state x every event, on a live connection: what happens must be what the table in state.hpp says, and
// docs/tcp-states.md must show it. With LEAT_UPDATE_DOCS=1 in the environment the page is written anew.
//
// The peer is made of segments: its ISS is 1000, ours 5000 (a fixed ISN).

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <leat/core/tcp/info.hpp>
#include <leat/core/tcp/state.hpp>
#include <map>
#include <sstream>
#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

using tcp::TcpEvent;
using tcp::TcpState;
using wire::TcpFlag;

constexpr std::uint32_t kIss = 5000;
constexpr std::uint32_t kPeerIss = 1000;
constexpr unsigned kPeerPort = 80;

// One connection and the peer's view of it.
class Bench {
 public:
  explicit Bench(TcpState state) : host_({.link = LinkType::ip}) {
    Stack& s = host_.stack();
    EXPECT_TRUE(s.set_option(OptionId::tcp_isn_seed, kIss));
    EXPECT_TRUE(s.set_option(OptionId::tcp_timestamps, 0));
    EXPECT_TRUE(s.set_option(OptionId::tcp_fin_timeout, 10'000'000));
    handle_ = s.open_stream().value();
    EXPECT_TRUE(s.bind(handle_, {kUs, Port{40000}}));
    enter(state);
    EXPECT_EQ(name_of(this->state()), name_of(state));
  }

  [[nodiscard]] TcpState state() {
    if (listening_) {
      const bool open = static_cast<bool>(host_.stack().local_endpoint(handle_));
      return open ? TcpState::listen : TcpState::closed;
    }
    const FlowKey key{kUs, kPeer, Port{40000}, Port{kPeerPort}, 0};
    const TcpState s = tcp::state_of(host_.core(), key);
    return s == TcpState::listen ? TcpState::closed : s;
  }

  void apply(TcpEvent e) {
    Stack& s = host_.stack();
    const TcpState before = state();
    switch (e) {
      case TcpEvent::passive_open:
        if (s.listen(handle_, 1)) listening_ = true;
        break;
      case TcpEvent::active_open:
        (void)s.connect(handle_, {kPeer, Port{kPeerPort}});
        break;
      case TcpEvent::close:
        (void)s.close(handle_);
        break;
      case TcpEvent::abort:
        (void)s.abort(handle_);
        break;
      case TcpEvent::syn:
        segment(TcpFlag::syn, before == TcpState::syn_sent ? kPeerIss : rcv_nxt_, 0);
        break;
      case TcpEvent::syn_ack:
        segment(TcpFlag::syn | TcpFlag::ack,
                before == TcpState::syn_sent || before == TcpState::syn_received ? kPeerIss : rcv_nxt_, kIss + 1);
        break;
      case TcpEvent::ack_of_syn:
        segment(TcpFlag::ack, rcv_nxt_, kIss + 1);
        break;
      case TcpEvent::ack_of_fin:
        segment(TcpFlag::ack, rcv_nxt_, kIss + 2);
        break;
      case TcpEvent::fin:
        segment(TcpFlag::fin | TcpFlag::ack, fin_seq(), kIss + 1);
        break;
      case TcpEvent::fin_and_ack_of_fin:
        segment(TcpFlag::fin | TcpFlag::ack, fin_seq(), kIss + 2);
        break;
      case TcpEvent::rst:
        segment(TcpFlag::rst | TcpFlag::ack, rcv_nxt_, kIss + 1);
        break;
      case TcpEvent::give_up:
        give_up(before);
        break;
    }
    (void)host_.sent();
  }

 private:
  void segment(wire::TcpFlags flags, std::uint32_t seq, std::uint32_t ack) {
    (void)host_.sent();
    host_.receive(tcp_packet({.source = kPeer, .destination = kUs},
                             {.from = kPeerPort, .to = 40000, .seq = seq, .ack = ack, .flags = flags}));
    (void)host_.sent();
  }
  [[nodiscard]] std::uint32_t fin_seq() const { return peer_fin_ ? rcv_nxt_ - 1 : rcv_nxt_; }
  void peer_fin() {
    segment(TcpFlag::fin | TcpFlag::ack, rcv_nxt_, ours_);
    peer_fin_ = true;
    ++rcv_nxt_;
  }
  void shut() {
    EXPECT_TRUE(host_.stack().shutdown(handle_, ShutdownHow::write));
    (void)host_.sent();
  }
  // Nobody answers, for as long as it takes.
  void give_up(TcpState from) {
    Stack& s = host_.stack();
    if (from == TcpState::established || from == TcpState::close_wait) {
      EXPECT_TRUE(s.try_send(handle_, pattern(100)));
      (void)host_.sent();
    }
    if (from == TcpState::fin_wait_2) {
      EXPECT_TRUE(s.close(handle_));
    }
    for (int i = 0; i < 200; ++i) {
      host_.advance(Duration::s(10));
      (void)host_.sent();
    }
  }

  void enter(TcpState state) {
    Stack& s = host_.stack();
    switch (state) {
      case TcpState::closed:
        return;
      case TcpState::listen:
        EXPECT_TRUE(s.listen(handle_, 1));
        listening_ = true;
        return;
      case TcpState::syn_sent:
        EXPECT_TRUE(s.connect(handle_, {kPeer, Port{kPeerPort}}));
        (void)host_.sent();
        return;
      case TcpState::syn_received:
        enter(TcpState::syn_sent);
        segment(TcpFlag::syn, kPeerIss, 0);
        return;
      case TcpState::established:
        enter(TcpState::syn_sent);
        segment(TcpFlag::syn | TcpFlag::ack, kPeerIss, kIss + 1);
        return;
      case TcpState::fin_wait_1:
        enter(TcpState::established);
        shut();
        return;
      case TcpState::fin_wait_2:
        enter(TcpState::fin_wait_1);
        ours_ = kIss + 2;
        segment(TcpFlag::ack, rcv_nxt_, ours_);
        return;
      case TcpState::close_wait:
        enter(TcpState::established);
        peer_fin();
        return;
      case TcpState::closing:
        enter(TcpState::fin_wait_1);
        peer_fin();
        return;
      case TcpState::last_ack:
        enter(TcpState::close_wait);
        shut();
        return;
      case TcpState::time_wait:
        enter(TcpState::fin_wait_2);
        peer_fin();
        return;
    }
  }

  TestHost host_;
  Handle handle_;
  bool listening_ = false;
  bool peer_fin_ = false;
  std::uint32_t rcv_nxt_ = kPeerIss + 1;
  std::uint32_t ours_ = kIss + 1;  // what the peer acknowledges
};

TcpState state_at(std::size_t i) {
  return static_cast<TcpState>(i);
}
TcpEvent event_at(std::size_t i) {
  return static_cast<TcpEvent>(i);
}

// docs/tcp-states.md for a table of observed moves.
std::string page(const std::map<std::pair<TcpState, TcpEvent>, TcpState>& moves) {
  std::ostringstream out;
  out << "# The states of a TCP connection\n\n"
         "Written by `tests/states` from what a live stack did in every state with every event (LEAT_UPDATE_DOCS=1\n"
         "writes it anew); the test fails when this page, the table in `leat/core/tcp/state.hpp` and the stack "
         "differ.\n"
         "An empty cell: the event changes nothing. SYN records stand for SYN-RECEIVED of passive opens, TIME-WAIT\n"
         "records for TIME-WAIT: both answer as the rows say.\n\n|";
  for (std::size_t e = 0; e < tcp::kEvents; ++e) out << " | " << name_of(event_at(e));
  out << " |\n|---";
  for (std::size_t e = 0; e < tcp::kEvents; ++e) out << "|---";
  out << "|\n";
  for (std::size_t s = 0; s < tcp::kStates; ++s) {
    out << "| **" << name_of(state_at(s)) << "**";
    for (std::size_t e = 0; e < tcp::kEvents; ++e) {
      const TcpState to = moves.at({state_at(s), event_at(e)});
      out << " | " << (to == state_at(s) ? std::string_view{} : name_of(to));
    }
    out << " |\n";
  }
  out << "\n```mermaid\nstateDiagram-v2\n";
  const auto id = [](TcpState s) {
    std::string n{name_of(s)};
    std::erase(n, '-');
    return n;
  };
  for (const auto& [from, to] : moves)
    if (to != from.first && from.second != TcpEvent::rst && from.second != TcpEvent::abort &&
        from.second != TcpEvent::give_up)
      out << "  " << id(from.first) << " --> " << id(to) << ": " << name_of(from.second) << "\n";
  out << "```\n\nRST, abort and give up lead to CLOSED from every state that the table says, and are left out of the "
         "picture.\n";
  return out.str();
}

TEST(TcpStates, EveryStateWithEveryEventMovesAsTheTableSays) {
  std::map<std::pair<TcpState, TcpEvent>, TcpState> moves;
  for (std::size_t s = 0; s < tcp::kStates; ++s) {
    for (std::size_t e = 0; e < tcp::kEvents; ++e) {
      SCOPED_TRACE(std::string{name_of(state_at(s))} + " x " + std::string{name_of(event_at(e))});
      Bench b{state_at(s)};
      b.apply(event_at(e));
      const TcpState to = b.state();
      EXPECT_EQ(name_of(to), name_of(next_state(state_at(s), event_at(e))));
      moves[{state_at(s), event_at(e)}] = to;
    }
  }
  const std::string path = std::string{LEAT_SOURCE_ROOT} + "/docs/tcp-states.md";
  const std::string text = page(moves);
  if (std::getenv("LEAT_UPDATE_DOCS") != nullptr) std::ofstream{path} << text;
  std::ifstream in{path};
  const std::string shown{std::istreambuf_iterator<char>{in}, {}};
  EXPECT_EQ(shown, text) << "docs/tcp-states.md is not what the stack does: run this test with LEAT_UPDATE_DOCS=1";
}

TEST(TcpStates, OnlyEdgesOfTheTableAreLegal) {
  unsigned legal = 0;
  for (std::size_t a = 0; a < tcp::kStates; ++a)
    for (std::size_t b = 0; b < tcp::kStates; ++b) {
      bool in_table = false;
      for (const tcp::Edge& e : tcp::kEdges) in_table = in_table || (e.from == state_at(a) && e.to == state_at(b));
      EXPECT_EQ(tcp::is_legal_edge(state_at(a), state_at(b)), in_table);
      legal += in_table ? 1 : 0;
    }
  EXPECT_GT(legal, 20U);
  EXPECT_FALSE(tcp::is_legal_edge(TcpState::time_wait, TcpState::established));
  EXPECT_FALSE(tcp::is_legal_edge(TcpState::closed, TcpState::established));
}

}  // namespace
}  // namespace leat::test
