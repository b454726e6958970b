#!/usr/bin/env bash
# Passes every test: formatting, lints, the fuzz targets' types, the Rust tests, the official SDKs, agents and frameworks
# against the real binary, and the trials of its ledger.
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

say "fuzz targets"
cargo check --manifest-path fuzz/Cargo.toml --no-default-features --locked --target-dir "${CARGO_TARGET_DIR:-target}"

# The points at which a test can let the process die are in the binaries of the tests alone.
points=(--features tollgate/crash-points)

say "Rust tests"
if command -v cargo-nextest >/dev/null 2>&1; then
  cargo nextest run --workspace --locked --no-fail-fast "${points[@]}"
else
  cargo test --workspace --locked --no-fail-fast "${points[@]}"
fi

say "official SDKs against the testkit and against Tollgate"
cargo build --locked --workspace --bins "${points[@]}"
target="${CARGO_TARGET_DIR:-target}/debug"
TOLLGATE_BIN="$(realpath "$target/tollgate")" TESTKIT_BIN="$(realpath "$target/tollgate-testkit")" tests/sdk/run.sh

say "every dialect to every provider, as scripts/release.sh trains with"
"$target/tollgate-bench" train --tollgate "$target/tollgate" --testkit "$target/tollgate-testkit" --scale 0.01

say "agents and frameworks from their registries"
TOLLGATE_BIN="$(realpath "$target/tollgate")" TESTKIT_BIN="$(realpath "$target/tollgate-testkit")" tests/clients/run.sh

say "trials: kills, cuts and load, the ledger laid beside the providers' own account"
"$target/tollgate-trials" all --short --binary "$target/tollgate"

say "all tests passed"
