#include <leat/core/tcp/scoreboard.hpp>

namespace leat::tcp {

// Has access to the pool's nodes: it walks them, and changes them through the pool alone.
class Scoreboard {
 public:
  static SackResult apply(RangePool& pool, RangeList& list, SeqNum una, SeqNum nxt,
                          std::span<const wire::SackBlock> blocks, std::uint32_t cap) {
    SackResult out;
    std::size_t begin = 0;
    if (!blocks.empty() && is_duplicate(blocks, una)) {
      out.dsack = true;
      out.duplicate = blocks[0];
      begin = 1;
    }
    const SeqNum passed = list.highest_sacked;
    for (std::size_t i = begin; i < blocks.size(); ++i) {
      const wire::SackBlock& b = blocks[i];
      if (!(b.left < b.right) || b.left < una || nxt < b.right) continue;
      out.newly_sacked += pool.mark_sacked(list, b.left, b.right, cap, passed, &out.reordered);
    }
    // RFC 2018 8: the receiver threw SACKed data away when the cumulative ACK stands right before it.
    const Range* first = pool.first(list);
    out.reneged = first != nullptr && first->sacked;
    return out;
  }

  static std::uint32_t update_lost(RangePool& pool, RangeList& list, std::uint32_t mss, unsigned dup_threshold,
                                   std::uint32_t cap) {
    if (list.sacked == 0) return 0;
    // From the highest SACKed range down, until what lies above is enough. At most dup_threshold SACKed ranges.
    SeqTreap<Range> tree = pool.tree(list);
    Index i = tree.find_le(list.highest_sacked - 1);
    std::uint32_t bytes = 0;
    unsigned runs = 0;
    for (; i != kNoIndex; i = pool.nodes_[i].treap.prev) {
      const Range& r = pool.nodes_[i];
      if (!r.sacked) continue;
      bytes += r.end - r.start;
      ++runs;
      if (runs >= dup_threshold || bytes > (dup_threshold - 1) * mss) {
        const std::uint32_t before = list.lost;
        pool.mark_lost_below(list, r.start, cap);
        return list.lost - before;
      }
    }
    return 0;
  }

 private:
  // RFC 2883 4.1 and 4.2: the first block reports a duplicate when it lies below the acknowledgement, or within the
  // second.
  static bool is_duplicate(std::span<const wire::SackBlock> blocks, SeqNum una) {
    const wire::SackBlock& b = blocks[0];
    if (!(b.left < b.right)) return false;
    if (b.right <= una) return true;
    return blocks.size() > 1 && blocks[1].left < blocks[1].right && b.left >= blocks[1].left &&
           b.right <= blocks[1].right;
  }
};

const SackOps kSack{&Scoreboard::apply, &Scoreboard::update_lost};

}  // namespace leat::tcp
