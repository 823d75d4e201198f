#pragma once
// The benchmarks, one file each; registry.cpp names them.

#include <algorithm>
#include <bench/bench.hpp>
#include <initializer_list>

namespace leat::bench {

std::vector<Row> run_demux(const Request&);
std::vector<Row> run_bulk(const Request&);
std::vector<Row> run_bulk_memory(const Request&);
std::vector<Row> run_bulk_tap(const Request&);
std::vector<Row> run_echo(const Request&);
std::vector<Row> run_connect(const Request&);
std::vector<Row> run_idle(const Request&);
std::vector<Row> run_channel(const Request&);
std::vector<Row> run_pingpong(const Request&);
std::vector<Row> run_threads(const Request&);
std::vector<Row> run_latency(const Request&);

template <class T>
std::vector<T> or_default(const std::vector<T>& asked, std::initializer_list<T> own) {
  return asked.empty() ? std::vector<T>(own) : asked;
}
// This much work, by the request's scale, in whole units and at least one.
inline std::uint64_t scaled(const Request& request, std::uint64_t work, std::uint64_t unit = 1) {
  const auto units = static_cast<std::uint64_t>(static_cast<double>(work) * request.scale) / unit;
  return std::max<std::uint64_t>(units, 1) * unit;
}
inline void say(const Request& request, std::string_view what) {
  if (request.progress) request.progress(what);
}

}  // namespace leat::bench
