#!/usr/bin/env bash
# The demo works on a TAP and over a link in memory, and leaves nothing but its capture.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$work"
mkdir build
before=$(ls /sys/class/net)
for device in tap memory; do
  "$LEAT" up --demo --device "$device" --demo-bytes 20M >out || fail "over $device: exit code $?: $(cat out)"
  grep -q 'retransmissions in' out || fail "over $device: $(cat out)"
  ! grep -q FAIL out || fail "over $device: $(cat out)"
  [ -s build/demo.pcapng ] || fail "no capture"
done
[ "$(ls build)" = demo.pcapng ] || fail "left in build: $(ls build)"
[ "$(ls /sys/class/net)" = "$before" ] || fail "interfaces are left: $(ls /sys/class/net)"
