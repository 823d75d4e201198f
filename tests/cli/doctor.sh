#!/usr/bin/env bash
# leat doctor: the JSON keys that programs read, a fix for whatever does not work, the same in words, and nothing left behind.
set -euo pipefail
command -v python3 >/dev/null || { echo "no python3 here, which reads JSON"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
before=$(ls /sys/class/net)
"$LEAT" doctor --json >"$work/json" 2>"$work/error" || { echo "doctor --json ended with $?"; exit 1; }
"$LEAT" doctor >"$work/text" 2>>"$work/error" || { echo "doctor ended with $?"; exit 1; }
[ ! -s "$work/error" ] || { cat "$work/error"; exit 1; }
[ "$(ls /sys/class/net)" = "$before" ] || { echo "interfaces came or went: $(ls /sys/class/net)"; exit 1; }
python3 - "$work" <<'PYTHON'
import json, sys
folder = sys.argv[1]
report = json.load(open(folder + "/json"))
lines = [line.split() for line in open(folder + "/text") if line.startswith("  ")]
said = [(words[0], words[1] == "yes") for words in lines]
findings = report["backends"] + report["machine"]
for f in findings:
    assert set(f) == {"name", "works", "why", "fix"}, f
    assert isinstance(f["works"], bool) and f["why"].strip(), f
    assert f["works"] or f["fix"].strip(), f"no fix: {f}"
names = [f["name"] for f in report["backends"]]
assert len(set(names)) == len(names), names
wanted = {"tap", "memory", "shm", "af_packet", "af_xdp", "dpdk", "netmap", "pcap", "vde", "qemu_stream"}
assert wanted <= set(names), f"missing: {wanted - set(names)}"
assert next(f for f in report["backends"] if f["name"] == "memory")["works"]
assert said == [(f["name"], f["works"]) for f in findings], f"{said} in words, {findings} as JSON"
PYTHON
