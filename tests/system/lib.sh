# shellcheck shell=bash
# Sourced first by every system test: runs the rest of the script in a network and process namespace of its own, which takes
# all that the test made along when it ends. $LEAT is the command. Exit code 77 skips, the last line says why.
set -euo pipefail

skip() { echo "$*"; exit 77; }
fail() { echo "FAILED: $*" >&2; exit 1; }

if [ -z "${LEAT_ISOLATED-}" ]; then
  for program in ip ping curl; do command -v "$program" >/dev/null || skip "no $program here: scripts/install-deps"; done
  own=(--net --pid --fork --kill-child)
  [ "$(id -u)" -eq 0 ] || own+=(--user --map-root-user)
  unshare "${own[@]}" true 2>/dev/null || skip "no network namespace of its own for this user"
  { : <>/dev/net/tun; } 2>/dev/null || skip "the TUN node is closed to this user"
  exec env LEAT_ISOLATED=1 unshare "${own[@]}" "$0" "$@"
fi

ip link set lo up
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The form of the API under test, for the commands that take one.
form=()
# shellcheck disable=SC2034  # the tests that source this use it
[ -z "${LEAT_FORM-}" ] || form=(--form "$LEAT_FORM")

# serve COMMAND...: starts a leat server with --setup, waits until it answers ping.
serve() {
  "$LEAT" "$@" --setup -q 2>"$work/server.log" &
  server=$!
  for _ in $(seq 100); do
    if ping -c 1 -W 1 -n 10.9.0.2 >/dev/null 2>&1; then return 0; fi
    kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$work/server.log")"
    sleep 0.05
  done
  fail "the server does not answer: $(cat "$work/server.log")"
}
# stop: SIGINT ends it with exit code 0.
stop() {
  kill -INT "$server"
  local code=0
  wait "$server" || code=$?
  [ "$code" -eq 0 ] || fail "the server ended with $code: $(cat "$work/server.log")"
}
