#!/usr/bin/env bash
# The golden transcripts over HTTP: against `dev`, and against a region of three nodes.
# Usage: tests/golden/run.sh PATH_OF_MERIDIAN
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
running=()
stop() {
  for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${running[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

# Waits until a file holds a line that matches, for a minute at most.
await() {
  for _ in $(seq 600); do
    if grep -q "$2" "$1"; then return; fi
    sleep 0.1
  done
  echo "never: $2" >&2
  cat "$1" >&2
  return 1
}

"$program" dev --listen 127.0.0.1:0 --in-memory >"$work/dev.out" 2>"$work/dev.err" &
running+=($!)
await "$work/dev.out" '^ready '
echo "-- dev"
cargo xtask golden --url "$(sed -n 's/^ready //p' "$work/dev.out")"

"$program" playground --regions golden-1 --base-port 18400 --data-dir "$work/region" --output json \
  >"$work/region.out" 2>"$work/region.err" &
running+=($!)
await "$work/region.out" router
for node in 0 1 2; do
  echo "-- a region of three nodes, through node $((node + 1))"
  cargo xtask golden --url "http://127.0.0.1:1840$node"
done
