#!/usr/bin/env bash
# The golden transcripts over HTTP: against `dev`, and against a region of three nodes.
# Usage: tests/golden/run.sh PATH_OF_MERIDIAN
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
source tests/servers.sh

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
