#!/usr/bin/env bash
# leat bench latency without what it needs: one line that names what is missing and what to do about it, exit code 2, nothing left
# behind. The folder of the TUN node is empty here, in a mount namespace of this test's.
set -euo pipefail
before=$(ls /sys/class/net)
without_node() {
  # shellcheck disable=SC2016  # the inner shell expands
  unshare --user --map-root-user --mount bash -c 'mount -t tmpfs none /dev/net && exec "$@"' _ "$@"
}
[ -d /dev/net ] || { echo "no /dev/net here to be emptied"; exit 77; }
why=$(without_node true 2>&1) || { echo "no user and mount namespace here: $why"; exit 77; }
fail() { echo "FAILED: $*"; exit 1; }

status=0
said=$(without_node "$LEAT" bench latency --scale 0.001 --repetitions 1 2>&1 >/dev/null) || status=$?
[ "$status" -eq 2 ] || fail "ended with $status: $said"
line=$(grep '^leat: ' <<<"$said") || fail "no line of its own: $said"
[ "$(wc -l <<<"$line")" -eq 1 ] || fail "more than one line: $said"
for part in 'latency needs a TAP' '/dev/net/tun is not there' 'as root: ' 'mknod' 'leat doctor'; do
  grep -qF "$part" <<<"$line" || fail "'$part' is missing: $line"
done
[ "$(ls /sys/class/net)" = "$before" ] || fail "interfaces came or went: $(ls /sys/class/net)"
