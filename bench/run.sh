#!/usr/bin/env bash
# Builds Tollgate as it is published (scripts/release.sh, about 20 minutes) and the benchmark, gets nginx when it is
# missing, measures and checks the bars. Arguments go on to `tollgate-bench run`; see bench/README.md.
# TOLLGATE_BINARY=FILE measures that binary instead and builds none.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(uname -s)" != Linux ]; then
  echo "The benchmark reads /proc and pins processes: it runs on Linux only." >&2
  exit 2
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

PATH="$PATH:/usr/sbin:/sbin"
if ! command -v nginx >/dev/null; then
  echo "nginx is missing: installing it with apt-get."
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light ||
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx
fi
if ! command -v taskset >/dev/null; then
  echo "taskset is missing: installing util-linux with apt-get."
  as_root apt-get install -y -qq util-linux
fi

target="${CARGO_TARGET_DIR:-target}"
tollgate="${TOLLGATE_BINARY:-$target/dist/tollgate}"
[ -n "${TOLLGATE_BINARY:-}" ] || scripts/release.sh
cargo build --release --locked --package tollgate-bench

# A thousand streams take two thousand sockets of the proxy.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt 4096 ]; then
  echo "Only $(ulimit -n) open files are allowed; 4096 are needed (ulimit -n)." >&2
  exit 2
fi

exec "$target/release/tollgate-bench" run --tollgate "$tollgate" --check "$@"
