#!/usr/bin/env bash
# scripts.sh SCRIPTS: what a script can't begin with is said in one line, with exit code 2, before anything is built.
set -euo pipefail
scripts=$1 status=0
refused() {
  local pattern=$1 script=$2 code=0 said
  shift 2
  said=$(timeout 50 "$scripts/$script" "$@" 2>&1 </dev/null) || code=$?
  if [ "$code" -ne 2 ] || [ "$(wc -l <<<"$said")" -ne 1 ] || ! grep -q -- "$pattern" <<<"$said"; then
    echo "'$script $*' ended with $code: $said"
    status=1
  fi
}
refused '^test: --preset needs a value; ' test --preset
refused '^test: --label needs a value; ' test --label
refused '^fuzz: --minutes needs a value; ' fuzz --minutes
refused '^sim_seeds: --seeds needs a value; ' sim_seeds --seeds
refused '^determinism: --seeds needs a value; ' determinism --seeds
refused '^fresh-root: --only needs a value; ' fresh-root --only
refused "^fresh-root: --as takes root or user, not 'nobody'" fresh-root --as nobody
refused "^fresh-root: --only takes demo or test, not 'check'" fresh-root --only check
refused '^tidy: which files? ' tidy
refused "^tidy: no file 'nothing.cpp'" tidy nothing.cpp
refused "^demo: no option '--bogus'; " demo --bogus
exit $status
