# shellcheck shell=bash disable=SC2034
# Shared by the scripts here: sourced, never run. Each script has `cd`ed to the top of the checkout after it.

# Fails early and says so; the caller's name in front.
die() {
  echo "${0##*/}: $*" >&2
  exit 2
}

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

processors=$(nproc 2>/dev/null || echo 1)

# build PRESET [TARGET...]: configures (quietly unless it fails) and builds.
build() {
  local preset=$1 log
  shift
  log=$(mktemp)
  if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
  if [ $# -gt 0 ]; then
    cmake --build --preset "$preset" -j "$processors" --target "$@"
  else
    cmake --build --preset "$preset" -j "$processors"
  fi
}

# junit_summary FILE...: reads ctest's --output-junit files, prints the reason of each skip and the name of each failure, and
# sets `passed`, `failed`, `skipped`. A gtest gives its reason after "Skipped"; a script's is its last line.
junit_summary() {
  local report
  report=$(awk '
    function unescape(s) {
      gsub(/&lt;/, "<", s); gsub(/&gt;/, ">", s); gsub(/&quot;/, "\"", s); gsub(/&apos;/, "'\''", s); gsub(/&amp;/, "\\&", s)
      return s
    }
    function attribute(line, key) {
      if (!match(line, " " key "=\"[^\"]*\"")) return ""
      return substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 4)
    }
    /<testcase / {
      name = unescape(attribute($0, "name")); status = attribute($0, "status"); cause = ""; last = ""; gathering = 0; next_line = 0
    }
    /<skipped message=/ { why = unescape(attribute($0, "message")) }
    /<system-out>/ { sub(/^.*<system-out>/, ""); inside = 1 }
    inside {
      line = $0; closing = sub(/<\/system-out>.*$/, "", line)
      if (line ~ /\[  SKIPPED \]|^$/) gathering = 0
      if (gathering) cause = cause (cause == "" ? "" : " ") line
      if (line ~ /: Skipped$/) gathering = 1
      if (line != "") last = line
      if (closing) inside = 0
    }
    /<\/testcase>/ {
      if (status == "run") passed++
      else if (status == "fail") { failed++; print "failed  " name }
      else {
        skipped++
        if (status == "disabled") cause = "disabled in the source"
        else if (cause == "") cause = (why ~ /RETURN_CODE/ && last != "") ? last : why
        print "skipped " name ": " unescape(cause)
      }
    }
    END { print passed + 0, failed + 0, skipped + 0 }' "$@")
  sed '$d' <<<"$report"
  read -r passed failed skipped <<<"${report##*$'\n'}"
}
