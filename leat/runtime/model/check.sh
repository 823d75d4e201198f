#!/bin/sh
# check.sh MODEL SCRATCH OPTION...: proves a model with spin, with these options for its preprocessor. Exit 77: spin is
# not installed (ctest counts it as skipped).
set -eu
model=$1
scratch=$2
shift 2
if ! command -v spin >/dev/null || ! command -v cc >/dev/null; then
  echo "skipped: spin or cc is not installed (scripts/install-deps all)"
  exit 77
fi
rm -rf "$scratch"
mkdir -p "$scratch"
cp "$model" "$scratch/model.pml"
cd "$scratch"
spin "$@" -a model.pml
cc ${LEAT_MODEL_CFLAGS:--O0} -w -DSAFETY -DCOLLAPSE -o pan pan.c
./pan -m1000000 >result
cat result
# Everything was searched, and nothing was found.
grep -q 'errors: 0' result
if grep -q -e 'max search depth too small' -e 'Search not completed' result; then exit 1; fi
