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
# Without a TUN node it says so, and shows two stacks over a link in memory.
if unshare --mount true 2>/dev/null; then
  # shellcheck disable=SC2016
  unshare --mount sh -c 'mount -t tmpfs none /dev/net && exec "$0" up --demo --demo-bytes 1M' "$LEAT" >out 2>error || fail "no TUN node: exit code $?"
  grep -q 'Two Leat stacks' out || fail "no TUN node: $(cat out error)"
  ! grep -q FAIL out || fail "no TUN node: $(cat out error)"
  grep -q 'capture: build/demo.pcapng (the first 128 bytes' out || fail "nothing is said of the capture: $(cat out)"
fi
# What is wrong with anything but the TAP is said, and nothing else tried.
code=0
"$LEAT" up --demo --demo-bytes 1M --pcap /nonexistent/x >out 2>error || code=$?
[ "$code" -eq 2 ] || fail "a capture that can't be: exit code $code"
[ "$(cat error)" = "leat: can't write the capture /nonexistent/x: No such file or directory; give --pcap a file in a folder that is there" ] ||
  fail "a capture that can't be: $(cat error)"
# Stopped on its way, also by a terminal that is closed, it takes its files along.
for signal in TERM:143 HUP:129; do
  "$LEAT" up --demo --demo-bytes 500M >out 2>error &
  demo=$!
  for _ in $(seq 500); do ! compgen -G 'build/leat-demo.*/site/big.bin' >/dev/null || break; sleep 0.02; done
  kill -"${signal%:*}" "$demo"
  code=0
  wait "$demo" || code=$?
  [ "$code" -eq "${signal#*:}" ] || fail "stopped by $signal: exit code $code"
  [ "$(ls build)" = demo.pcapng ] || fail "left in build: $(ls build)"
  [ "$(ls /sys/class/net)" = "$before" ] || fail "interfaces are left: $(ls /sys/class/net)"
done
