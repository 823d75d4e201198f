#!/usr/bin/env bash
# `leat bench list --output FILE` writes the list to FILE, and says so where it can't.
set -euo pipefail
fail() { echo "FAILED: $*" >&2; exit 1; }

mkdir -p "$WORK"
file=$WORK/list.csv
rm -f "$file"
"$LEAT" bench list --output "$file" >"$WORK/list.txt" || fail "ended with $?"
[ "$(head -n 1 "$file")" = "name,description" ] || fail "the first line is $(head -n 1 "$file")"
[ "$(wc -l <"$file")" -eq $(($(wc -l <"$WORK/list.txt") + 1)) ] || fail "another number of lines than on standard output"
code=0
"$LEAT" bench list --output "$WORK/no/such/folder" >/dev/null 2>"$WORK/error" || code=$?
[ "$code" -eq 2 ] || fail "a file that can't be written ended with $code"
[ "$(wc -l <"$WORK/error")" -eq 1 ] || fail "not one line: $(cat "$WORK/error")"
