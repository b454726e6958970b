#!/usr/bin/env bash
# Builds Tollgate and runs it. Arguments go to `tollgate serve`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/prepare.sh

need_rust
echo "Building Tollgate (a cold build takes some minutes) ..." >&2
cargo build --release --locked --package tollgate
exec "${CARGO_TARGET_DIR:-target}/release/tollgate" serve "$@"
