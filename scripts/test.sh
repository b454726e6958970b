#!/usr/bin/env bash
# Passes every test: formatting, lints, the Rust tests, and the official SDKs, agents and frameworks against the
# real binary.
# Needs Rust, Python 3.11 and Node 20; installs the rest when it is missing. Speaks to this machine alone.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/prepare.sh

need_rust
need python3 python3 python3-venv
need node nodejs npm

say "formatting"
cargo fmt --all --check

say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

say "Rust tests"
if command -v cargo-nextest >/dev/null 2>&1; then
  cargo nextest run --workspace --locked --no-fail-fast
else
  cargo test --workspace --locked --no-fail-fast
fi

say "official SDKs against the testkit and against Tollgate"
cargo build --locked --package tollgate --package tollgate-testkit
target="${CARGO_TARGET_DIR:-target}/debug"
TOLLGATE_BIN="$(realpath "$target/tollgate")" TESTKIT_BIN="$(realpath "$target/tollgate-testkit")" tests/sdk/run.sh

say "agents and frameworks from their registries"
TOLLGATE_BIN="$(realpath "$target/tollgate")" TESTKIT_BIN="$(realpath "$target/tollgate-testkit")" tests/clients/run.sh

say "all tests passed"
