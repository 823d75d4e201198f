#include <leat/base/error_table.hpp>
#include <leat/drive/callback_socket.hpp>
#include <leat/sim/transfer.hpp>

namespace leat::sim {
namespace {

constexpr std::uint16_t kPort = 7000;
constexpr std::size_t kChunk = 16384;  // what an application reads and writes at once

constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

// The pattern's word that holds byte 8 * index and the seven that follow.
constexpr std::uint64_t word_at(std::uint64_t stream, std::uint64_t index) {
  return mix(stream * 0x100000001b3U + index);
}

template <class Visit>  // visit(position in the span, pattern byte)
void for_pattern(std::uint64_t stream, std::uint64_t offset, std::size_t size, Visit&& visit) {
  std::size_t i = 0;
  while (i < size) {
    std::uint64_t word = word_at(stream, (offset + i) / 8) >> (8 * ((offset + i) % 8));
    for (std::size_t n = 8 - (offset + i) % 8; n > 0 && i < size; --n, ++i, word >>= 8)
      if (!visit(i, static_cast<std::uint8_t>(word))) return;
  }
}

// What tells the streams of one run apart: the client's port and the direction.
constexpr std::uint64_t stream_of(std::uint64_t seed, Port client, bool to_server) {
  return mix(seed) + 2U * client.value() + (to_server ? 1U : 0U);
}

struct Watch {
  Duration last_progress;
  std::uint64_t delivered = 0;
  std::optional<Errc> error;
  std::string problem;
};

// One side of one connection: writes its stream and closes its direction, reads the other's to its end. The client
// closes first; the server only when it has everything, so that the client's end means success on both sides.
class Side {
 public:
  Side(World& world, Host& host, Watch& watch, bool closes_first, std::uint64_t out_bytes, std::uint64_t in_bytes)
      : world_(&world),
        host_(&host),
        watch_(&watch),
        closes_first_(closes_first),
        out_bytes_(out_bytes),
        in_bytes_(in_bytes) {}

  void connect(const Endpoint& to, std::uint64_t seed) {
    const auto r = socket_.connect(host_->stack(), to, CallbackSocket::Handler::to<&Side::on_event>(*this));
    if (!r) return fail(r.error());
    const auto local = host_->stack().local_endpoint(socket_.handle());
    if (!local) return fail(local.error());
    out_stream_ = stream_of(seed, local->port, true);
    in_stream_ = stream_of(seed, local->port, false);
    host_->wake();
  }
  // True when the listener had one.
  bool accept(CallbackSocket& listener, std::uint64_t seed) {
    Endpoint client;
    const auto r = socket_.accept(listener, CallbackSocket::Handler::to<&Side::on_event>(*this), &client);
    if (!r) fail(r.error());
    if (!r || !*r) return false;
    out_stream_ = stream_of(seed, client.port, false);
    in_stream_ = stream_of(seed, client.port, true);
    on_event(socket_, Ready::connected | Ready::readable | Ready::writable);
    return true;
  }

  [[nodiscard]] bool done() const { return failed_ || (got_eof_ && sent_all_); }
  [[nodiscard]] bool succeeded() const { return !failed_ && got_eof_ && sent_all_ && received_ == in_bytes_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }

 private:
  void on_event(CallbackSocket&, Ready events) {
    if (failed_) return;
    if (any(events & Ready::error)) {
      if (const auto error = host_->stack().take_error(socket_.handle())) return fail(*error);
    }
    if (any(events & Ready::connected)) connected_ = true;
    receive();
    if (connected_ && !failed_) send();
    if (done() && socket_.is_open()) socket_.close();
  }

  void progress() { watch_->last_progress = world_->now(); }

  void receive() {
    while (!got_eof_ && !failed_) {
      const auto r = socket_.read(buffer_);
      if (!r) {
        if (r.error() != Errc::not_connected) fail(r.error());
        return;
      }
      if (r->count > 0) {
        const std::size_t wrong = check_pattern(in_stream_, received_, {buffer_.data(), r->count});
        if (wrong != r->count) return corrupt(received_ + wrong);
        received_ += r->count;
        watch_->delivered += r->count;
        progress();
        if (received_ > in_bytes_) return corrupt(in_bytes_);
      }
      if (r->status == IoStatus::end_of_stream) {
        got_eof_ = true;
        progress();
        if (received_ != in_bytes_) return corrupt(received_);
      } else if (r->status == IoStatus::would_block || r->count == 0) {
        return;
      }
    }
  }

  void send() {
    while (!sent_all_) {
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, out_bytes_ - sent_));
      if (want == 0) {
        if (!closes_first_ && !got_eof_) return;  // its FIN says that everything came
        const auto r = socket_.shutdown(ShutdownHow::write);
        if (!r) return fail(r.error());
        sent_all_ = true;
        progress();
        return;
      }
      fill_pattern(out_stream_, sent_, {buffer_.data(), want});
      const auto r = socket_.write({buffer_.data(), want});
      if (!r) return fail(r.error());
      sent_ += r->count;
      if (r->count > 0) progress();
      if (r->count < want) return;
    }
  }

  void fail(Errc error) {
    failed_ = true;
    watch_->error = error;
    if (socket_.is_open()) socket_.abort();
    progress();
  }
  void corrupt(std::uint64_t at) {
    watch_->problem = "byte " + std::to_string(at) + " of stream " + std::to_string(in_stream_) +
                      " is wrong, or the stream has another length than " + std::to_string(in_bytes_);
    fail(Errc::io_error);
  }

  World* world_;
  Host* host_;
  Watch* watch_;
  CallbackSocket socket_;
  bool closes_first_;
  std::uint64_t out_bytes_, in_bytes_;
  std::uint64_t out_stream_ = 0;
  std::uint64_t in_stream_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  bool connected_ = false;
  bool sent_all_ = false;
  bool got_eof_ = false;
  bool failed_ = false;
  std::array<std::uint8_t, kChunk> buffer_{};
};

class Transfer {
 public:
  explicit Transfer(const TransferOptions& options)
      : options_(options),
        capture_(options.pcap_path),
        world_({.seed = options.seed,
                .modules = options.modules,
                .batch = options.batch,
                .check_invariants = options.check_invariants,
                .capture = options.hash || !options.pcap_path.empty() ? &capture_ : nullptr}),
        client_(world_.add_host({.name = "client", .pool = pool_of(options), .budgets = {}})),
        server_(world_.add_host({.name = "server", .pool = pool_of(options), .budgets = {}})),
        link_(join()) {}

  TransferReport run() {
    report_.seed = options_.seed;
    if (!capture_.good()) {
      report_.capture_failed = true;
      report_.problem = "the capture " + options_.pcap_path + " can't be created";
      return report_;
    }
    prepare();
    const auto finished = [this] {
      if (options_.on_progress) options_.on_progress(watch_.delivered);
      std::size_t done = 0;
      for (const auto& s : clients_) done += s->done() ? 1 : 0;
      for (const auto& s : servers_) done += s->done() ? 1 : 0;
      const bool clients_failed = watch_.error.has_value() && all_clients_done();
      return done == 2 * std::size_t{options_.connections} || clients_failed || !watch_.problem.empty();
    };
    // Time is watched in pieces, so that a stall is noticed even while timers fire.
    bool complete = false;
    while (!complete && !world_.stuck() && world_.now() < options_.limit) {
      complete = world_.run(std::min(options_.limit, watch_.last_progress + options_.stall_bound), finished);
      if (!complete && world_.now() - watch_.last_progress >= options_.stall_bound) break;
    }
    conclude(complete);
    return report_;
  }

 private:
  // Frames that need more than a normal chunk.
  static bool is_jumbo(std::uint32_t mtu) { return mtu + 64 + kHeadroom > kChunkBytes[1]; }
  static PoolLayout pool_of(const TransferOptions& o) {
    PoolLayout layout = o.pool;
    if (is_jumbo(o.mtu) && layout.chunks[2] == 0) layout.chunks[2] = 1024;
    return layout;
  }
  [[nodiscard]] bool all_clients_done() const {
    for (const auto& s : clients_)
      if (!s->done()) return false;
    return true;
  }
  [[nodiscard]] IpPrefix address(std::uint8_t last) const {
    if (options_.version == IpVersion::v4) return {IpAddress::v4(10, 0, 0, last), 24};
    return {IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, last}), 64};
  }

  Link& join() {
    ImpairmentConfig line;
    line.delay = options_.rtt / 2;
    line.jitter = options_.jitter;
    line.loss_ppm = options_.loss_ppm;
    line.reorder_ppm = options_.reorder_ppm;
    line.duplicate_ppm = options_.duplicate_ppm;
    line.corrupt_ppm = options_.corrupt_ppm;
    line.rate_bps = options_.rate_bps;
    line.queue_packets = options_.queue_packets;
    LinkConfig config;
    config.link = options_.link;
    config.mtu = options_.mtu;
    config.there = line;
    config.back = line;
    config.software_gro = options_.software_gro;
    if (is_jumbo(options_.mtu)) config.in_flight = 1024;  // each takes a large chunk
    return world_.join(client_, address(1), server_, address(options_.server_absent ? 99 : 2), config);
  }

  void prepare() {
    // Who only waits for data learns of a dead peer by probes alone.
    for (Host* h : {&client_, &server_}) {
      for (const auto& [id, value] : {std::pair{OptionId::keep_alive, std::int64_t{1}},
                                      std::pair{OptionId::tcp_keep_idle, std::int64_t{60'000'000}},
                                      std::pair{OptionId::tcp_keep_interval, std::int64_t{10'000'000}}})
        LEAT_ASSERT(h->stack().set_option(id, value));
    }
    for (const auto& [id, value] : options_.options) {
      if (!client_.stack().set_option(id, value) || !server_.stack().set_option(id, value)) {
        watch_.problem = "option " + std::string{option_info(id).name} + " does not take " + std::to_string(value);
      }
    }
    for (const Partition& p : options_.partitions) {
      world_.at(p.from, [this] { link_.set_down(true); });
      world_.at(p.to, [this] { link_.set_down(false); });
    }
    const auto r = listener_.listen(server_.stack(), {IpAddress::any(options_.version), Port{kPort}},
                                    options_.connections, CallbackSocket::Handler::to<&Transfer::on_listener>(*this));
    if (!r) watch_.problem = "the server can't listen: " + std::string{name_of(r.error())};
    for (unsigned i = 0; i < options_.connections; ++i) clients_.push_back(make_side(client_, true));
    for (const auto& s : clients_) s->connect({address(2).address, Port{kPort}}, options_.seed);
  }

  std::unique_ptr<Side> make_side(Host& host, bool is_client) {
    const std::uint64_t answer = options_.both_ways ? options_.bytes : 0;
    return std::make_unique<Side>(world_, host, watch_, is_client, is_client ? options_.bytes : answer,
                                  is_client ? answer : options_.bytes);
  }

  void on_listener(CallbackSocket& listener, Ready) {
    for (;;) {
      auto side = make_side(server_, false);
      if (!side->accept(listener, options_.seed)) return;
      servers_.push_back(std::move(side));
    }
  }

  void conclude(bool complete) {
    std::size_t good = 0;
    for (const auto& s : clients_) {
      good += s->succeeded() ? 1 : 0;
      report_.bytes_to_client += s->received();
    }
    for (const auto& s : servers_) {
      good += s->succeeded() ? 1 : 0;
      report_.bytes_to_server += s->received();
    }
    report_.elapsed = world_.now();
    const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, report_.elapsed.count_ms()));
    report_.goodput_bps = (report_.bytes_to_client + report_.bytes_to_server) * 8 * 1000 / ms;
    report_.error = watch_.error;
    report_.ok = good == 2 * std::size_t{options_.connections};
    report_.stalled = !complete;
    if (!report_.ok) report_.problem = explain(complete);
    if (!capture_.close() && report_.problem.empty()) {
      report_.ok = false;
      report_.capture_failed = true;
      report_.problem = "the capture " + options_.pcap_path + " can't be written";
    }
    count();
  }

  std::string explain(bool complete) {
    std::string text;
    if (!watch_.problem.empty()) {
      text = watch_.problem;
    } else if (world_.stuck()) {
      text = "a host takes turn after turn while time stands still";
    } else if (!complete) {
      text = "nothing moved for " + std::to_string((world_.now() - watch_.last_progress).count_s()) +
             " s, and no error was reported";
    } else if (watch_.error) {
      text = "a connection ended with " + std::string{name_of(*watch_.error)};
    } else {
      text = "a connection ended early";
    }
    return text + " at " + std::to_string(world_.now().count_ms()) + " ms, " +
           std::to_string(report_.bytes_to_server + report_.bytes_to_client) + " bytes delivered (seed " +
           std::to_string(options_.seed) + ")";
  }

  // Figures, and whether everything comes back once all is closed.
  void count() {
    report_.there = link_.there().counters();
    report_.back = link_.back().counters();
    for (Host* h : {&client_, &server_}) {
      const Counters& c = h->stack().counters();
      report_.retransmitted_segments += c.get(Counter::tcp_retransmitted_segments);
      report_.timeouts += c.get(Counter::tcp_timeouts);
      report_.fast_retransmits += c.get(Counter::tcp_fast_retransmits);
    }
    report_.capture_packets = capture_.packets();
    report_.capture_hash = capture_.hash();
    if (report_.stalled) return;
    listener_.close();
    client_.wake();
    server_.wake();
    world_.run(world_.now() + Duration::s(2000));
    report_.turns = world_.turns();
    report_.pools_clean = client_.pool().all_free() && server_.pool().all_free();
  }

  const TransferOptions& options_;
  TransferReport report_;
  Watch watch_;
  Capture capture_;
  World world_;
  Host& client_;
  Host& server_;
  Link& link_;
  CallbackSocket listener_;
  std::vector<std::unique_ptr<Side>> clients_;
  std::vector<std::unique_ptr<Side>> servers_;
};

}  // namespace

void fill_pattern(std::uint64_t stream, std::uint64_t offset, MutableByteSpan out) {
  for_pattern(stream, offset, out.size(), [&](std::size_t i, std::uint8_t b) {
    out[i] = b;
    return true;
  });
}

std::size_t check_pattern(std::uint64_t stream, std::uint64_t offset, ByteSpan bytes) {
  std::size_t wrong = bytes.size();
  for_pattern(stream, offset, bytes.size(), [&](std::size_t i, std::uint8_t b) {
    if (bytes[i] == b) return true;
    wrong = i;
    return false;
  });
  return wrong;
}

TransferReport run_transfer(const TransferOptions& options) {
  return Transfer{options}.run();
}

}  // namespace leat::sim
