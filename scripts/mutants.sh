#!/bin/sh
# Changes the money code line by line and counts the changes that no test notices. At least 90 % must be
# caught. Needs cargo-mutants (`cargo install cargo-mutants --locked`); arguments are handed on to it:
#
#   scripts/mutants.sh                    all of it
#   scripts/mutants.sh --shard 1/4        a quarter of it
#
# Random tests run with few cases here: what they would find in many, the others must notice too.
set -eu
cd "$(dirname "$0")/.."
export PROPTEST_CASES="${PROPTEST_CASES:-500}" TOLLGATE_SCHEDULES="${TOLLGATE_SCHEDULES:-100}"
export TOLLGATE_RATE="${TOLLGATE_RATE:-10}"

# Packages, and the files in them that decide about money.
set -- --package tollgate-policy --package tollgate-base \
    --file 'crates/policy/src/admission/*.rs' \
    --file 'crates/base/src/money.rs' \
    --no-shuffle --test-tool nextest --timeout 120 "$@"

out="${MUTANTS_OUT:-target/mutants}"
mkdir -p "$out"
status=0
cargo mutants --output "$out" "$@" || status=$?
caught=$(wc -l <"$out/mutants.out/caught.txt")
late=$(wc -l <"$out/mutants.out/timeout.txt")
missed=$(wc -l <"$out/mutants.out/missed.txt")
all=$((caught + late + missed))
[ "$all" -gt 0 ] || exit "$status"
echo "$((caught + late)) of $all caught: $((100 * (caught + late) / all)) %"
[ $((100 * (caught + late))) -ge $((90 * all)) ]
