# shellcheck shell=bash
# Sourced first by every system test: runs the rest of the script in namespaces of its own (network, processes, mounts), which
# take all that the test made along when it ends, however that happens. $LEAT is the command. Exit code 77 skips, the last line
# says why.
set -euo pipefail

skip() { echo "$*"; exit 77; }
fail() { echo "FAILED: $*" >&2; exit 1; }

if [ -z "${LEAT_ISOLATED-}" ]; then
  for program in ip ping curl; do command -v "$program" >/dev/null || skip "no $program here: scripts/install-deps"; done
  own=(--net --mount --pid --fork --kill-child)
  [ "$(id -u)" -eq 0 ] || own+=(--user --map-root-user)
  unshare "${own[@]}" true 2>/dev/null || skip "no network namespace of its own for this user"
  { : <>/dev/net/tun; } 2>/dev/null || skip "the TUN node is closed to this user"
  # Who ends the runner of the tests ends this one as well: its `unshare`, and with that all processes inside.
  exec setpriv --pdeathsig KILL env LEAT_ISOLATED=1 unshare "${own[@]}" "$0" "$@"
fi

ip link set lo up
# Files in memory that nobody else sees: nothing of them is left behind.
work=/mnt
mount -t tmpfs -o mode=0755 tmpfs $work || fail "no file system of its own"

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
