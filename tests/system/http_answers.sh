#!/usr/bin/env bash
# On a connection that stays, an answer is one segment when it fits one: a second small one would wait for the acknowledgement of
# the first (Nagle), which the client delays.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "no python3 here, which reads the capture"

mkdir "$work/site"
for i in $(seq 50); do echo "file $i" >"$work/site/$i.txt"; done
serve http "$work/site" "${form[@]}" --pcap "$work/capture"
curl -sS --noproxy '*' --max-time 300 'http://10.9.0.2/[1-50].txt' >"$work/got" || fail "curl ended with $?"
[ "$(cat "$work/got")" = "$(for i in $(seq 50); do echo "file $i"; done)" ] || fail "other files: $(cat "$work/got")"
stop
python3 - "$work/capture" <<'PYTHON' || fail "more than one segment for an answer"
import struct, sys
capture, at, seen = open(sys.argv[1], "rb").read(), 0, set()
while at < len(capture):
    kind, length = struct.unpack_from("<II", capture, at)
    if kind == 6:  # Enhanced Packet Block
        frame = capture[at + 28:at + 28 + struct.unpack_from("<I", capture, at + 20)[0]]
        if frame[12:14] == b"\x08\x00" and frame[23] == 6:
            ip = frame[14:]
            tcp = ip[(ip[0] & 15) * 4:]
            size = struct.unpack_from(">H", ip, 2)[0] - (ip[0] & 15) * 4 - (tcp[12] >> 4) * 4
            if struct.unpack_from(">H", tcp)[0] == 80 and size > 0:
                seen.add(struct.unpack_from(">I", tcp, 4)[0])  # a retransmission has the same number
    at += length
print(len(seen), "segments with data for 50 answers")
sys.exit(len(seen) != 50)
PYTHON
