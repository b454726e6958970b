#!/usr/bin/env bash
# Counts the instructions that Tollgate executes per request, with valgrind:
# a figure that no busy machine disturbs. Kernel work is not in it.
# Usage: bench/instructions.sh [MODEL] [BODY_BYTES] [EVENTS]
#        bench/instructions.sh size:20480 20480
#        bench/instructions.sh many:100 1024 100
set -euo pipefail
cd "$(dirname "$0")/.."
model="${1:-size:1024}" body="${2:-1024}" events="${3:-0}"
few=100 many=600

command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind" >&2; exit 2; }
target="${CARGO_TARGET_DIR:-target}/release"
tollgate="${TOLLGATE_BINARY:-$target/tollgate}" bench="$target/tollgate-bench"
[ -n "${TOLLGATE_BINARY:-}" ] || cargo build --release --locked --package tollgate
cargo build --release --locked --package tollgate-bench

folder="$(mktemp -d)"
provider='' server=''
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$provider" ] || kill "$provider" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
upstream="127.0.0.1:$(free_port)"
"$bench" provider --listen "$upstream" &
provider=$!
printf '[providers.bench]\nkind = "openai-compatible"\nbase_url = "http://%s/v1"\napi_key = "test-bench"\n' "$upstream" >"$folder/tollgate.toml"
key="$("$bench" key)"

# Instructions of one whole life of the server with so many requests.
life() {
  local address
  address="127.0.0.1:$(free_port)"
  env -i PATH="$PATH" HOME="$folder" TOLLGATE_KEY="$key" \
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
    "$tollgate" serve --json --listen "$address" --data "$folder/data-$1" --config "$folder/tollgate.toml" \
    >"$folder/out" 2>"$folder/err" &
  server=$!
  for _ in $(seq 600); do
    if curl -fsS -o /dev/null "http://$address/health/ready" 2>/dev/null; then break; fi
    if ! kill -0 "$server" 2>/dev/null; then cat "$folder/out" "$folder/err" >&2; exit 2; fi
    sleep 0.1
  done
  "$bench" load --to "$address" --model "bench/$model" --body-bytes "$body" --least-events "$events" --key "$key" \
    closed --connections 4 --warm-up 20 --requests "$1" >"$folder/load"
  if ! grep -q '"failures":0,' "$folder/load"; then cat "$folder/load" >&2; exit 2; fi
  kill -TERM "$server"
  wait "$server" || true
  server=''
  sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p' "$folder/err" | tail -1 >"$folder/count"
}

life "$few"
base="$(cat "$folder/count")"
life "$many"
whole="$(cat "$folder/count")"
per_request=$(((whole - base) / (many - few)))
echo "$model, $body byte body: $per_request instructions per request"
if [ "$events" -gt 0 ]; then echo "  $((per_request / events)) per chunk, the request included"; fi
