#pragma once
// Capture: a pcapng capture of a world, to a file, to nowhere, and always with a hash of its bytes, by which two runs
// are compared without keeping either. Times are virtual and names are the hosts': the bytes depend on the seed alone.
//
// Threading: one owner.

#include <cstdio>
#include <leat/device/pcapng_writer.hpp>
#include <memory>
#include <string>

namespace leat::sim {

class Capture {
 public:
  // Also writes to a file when a path is given; good() is false when it can't be created.
  explicit Capture(const std::string& path = {}, std::uint32_t snap_length = PcapngWriter::kWhole);
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  [[nodiscard]] bool good() const { return !failed_; }
  // Ends the file. False when something could not be written.
  [[nodiscard]] bool close();

  [[nodiscard]] PcapngWriter& writer() { return writer_; }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }  // FNV-1a, 64 bits, over all bytes so far
  [[nodiscard]] std::uint64_t packets() const { return writer_.packets(); }

 private:
  struct CloseFile {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  void write(ByteSpan bytes);

  std::unique_ptr<std::FILE, CloseFile> file_;
  std::uint64_t hash_ = 0xcbf29ce484222325U;
  bool failed_ = false;
  PcapngWriter writer_;
};

}  // namespace leat::sim
