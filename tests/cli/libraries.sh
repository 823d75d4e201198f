#!/usr/bin/env bash
# bin/leat links the C and C++ run-time libraries only.
set -euo pipefail
command -v readelf >/dev/null || { echo "no readelf here"; exit 77; }
needed=$(readelf -d "$LEAT" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ -n "$needed" ] || { echo "nothing is linked?"; exit 1; }
# Sanitizers and their friends come with the compiler.
extra=$(grep -vE '^(libc|libm|libstdc\+\+|libgcc_s|libpthread|libdl|ld-linux[a-z0-9-]*|libasan|libubsan|libtsan)\.so' <<<"$needed" || true)
[ -z "$extra" ] || { echo "linked besides: $extra"; exit 1; }
