#!/usr/bin/env bash
# Runs fuzz targets one after the other, each for so many seconds and within the limits that are part of what it promises:
#   fuzz/run.sh 300                 # all targets
#   fuzz/run.sh 300 model template  # these
# Inputs of the engine's targets are at most 64 KiB; no single allocation of them may exceed 128 MiB (the longest text that
# a template may repeat has 100 MB), all memory 1 GiB, and no input may take 20 seconds.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?for how many seconds each}
shift
if [ $# -eq 0 ]; then
    mapfile -t targets < <(cargo +nightly fuzz list)
else
    targets=("$@")
fi
./seed.sh > /dev/null
for target in "${targets[@]}"; do
    options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=128 -max_len=65536 -print_final_stats=1)
    if [ -f "$target.dict" ]; then
        options+=(-dict="$target.dict")
    fi
    echo "== $target"
    cargo +nightly fuzz run "$target" -- "${options[@]}"
done
