#!/usr/bin/env bash
# A transfer draws a bar on stderr when that is a terminal, wipes it at the end, and says nothing otherwise or when told to be quiet.
set -euo pipefail
command -v script >/dev/null || { echo "no util-linux 'script' here, which makes a terminal"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

# on_terminal NAME COMMAND: standard error is a terminal, whose text goes to $work/NAME; input and output are what COMMAND says.
on_terminal() { script -qec "$2" /dev/null >"$work/$1" </dev/null || fail "$1 ended with $?: $(cat "$work/$1")"; }
bars() { tr '\r' '\n' <"$work/$1" | grep -cE '^(sim|nc)  \[=* *\]  [0-9.]+ [kMG]?B  [0-9.]+ [kMG]?bit/s' || true; }

transfer="'$LEAT' sim --bytes 400M"
on_terminal sim "$transfer >'$work/sim.out'"
[ "$(bars sim)" -ge 2 ] || fail "hardly a bar: $(cat -v "$work/sim")"
[ "$(tail -c 4 "$work/sim" | cat -v)" = '^M^[[K' ] || fail "the bar is not wiped: $(tail -c 40 "$work/sim" | cat -v)"
grep -q 'virtual time' "$work/sim.out" || fail "no result on stdout: $(cat "$work/sim.out")"
! grep -q $'\r' "$work/sim.out" || fail "the bar went to stdout"
eval "$transfer" >"$work/out" 2>"$work/error" </dev/null
[ ! -s "$work/error" ] || fail "without a terminal: $(cat -v "$work/error")"

head -c 400000000 /dev/zero >"$work/file"
exchange="'$LEAT' nc --device memory 10.9.0.1 7 <'$work/file'"
on_terminal nc "$exchange >'$work/back'"
[ "$(bars nc)" -ge 2 ] || fail "hardly a bar: $(cat -v "$work/nc")"
cmp -s "$work/file" "$work/back" || fail "nc gave other bytes"
on_terminal quiet "$exchange -q >'$work/back'"
[ "$(bars quiet)" -eq 0 ] || fail "quiet draws a bar: $(cat -v "$work/quiet")"
eval "$exchange" >"$work/back" 2>"$work/error"
! grep -q $'\r' "$work/error" || fail "without a terminal: $(cat -v "$work/error")"
