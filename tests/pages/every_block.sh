#!/usr/bin/env bash
# every_block.sh ROOT PAGE LANGUAGE,...: each code block of a page that names a language is taken by leat_page_source, so that
# something compiles or runs it; and each page that is taken has such a block. mermaid is drawn by tests/states.
set -euo pipefail
cd "$1"
found=$(find README.md CONTRIBUTING.md docs leat examples tests tools bench fuzz embedded -name '*.md' -print0 | sort -z |
  xargs -0 awk '/^ *```/{inside = !inside; language = $0; sub(/^ *```/, "", language);
    if (inside && language != "" && language != "mermaid") print FILENAME " " language}' | sort -u)
taken=$(tr ',' '\n' <<<"$2" | sort -u)
status=0
if [ -z "$found" ]; then echo "no page has a code block"; exit 1; fi
report() {
  if [ -n "$2" ]; then echo "$1: $2"; status=1; fi
}
report "no test takes these code blocks; see cmake/page.cmake" "$(comm -23 <(echo "$found") <(echo "$taken"))"
report "these pages have no such code block" "$(comm -13 <(echo "$found") <(echo "$taken"))"
# C and C++ without a language would not be seen.
report "code without a language; write \`\`\`cpp" "$(find README.md docs leat -name '*.md' -print0 | sort -z |
  xargs -0 awk '/^ *```/{inside = !inside; bare = inside && $0 ~ /```$/; next} inside && bare && /#include|co_await|std::/{print FILENAME ":" FNR}')"
exit $status
