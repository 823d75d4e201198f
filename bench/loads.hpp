#pragma once
// The benchmarks, one file each; registry.cpp names them.

#include <bench/bench.hpp>

namespace leat::bench {

std::vector<Row> run_demux(const Request&);
std::vector<Row> run_bulk(const Request&);
std::vector<Row> run_bulk_memory(const Request&);
std::vector<Row> run_bulk_tap(const Request&);
std::vector<Row> run_echo(const Request&);
std::vector<Row> run_connect(const Request&);
std::vector<Row> run_idle(const Request&);

template <class T>
std::vector<T> or_default(const std::vector<T>& asked, std::initializer_list<T> own) {
  return asked.empty() ? std::vector<T>(own) : asked;
}
inline void say(const Request& request, std::string_view what) {
  if (request.progress) request.progress(what);
}

}  // namespace leat::bench
