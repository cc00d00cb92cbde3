#!/usr/bin/env bash
# The golden transcripts over HTTP: against `dev`; with `region`, also against each node of a region
# of three, on a machine that is otherwise at rest: the transcripts read what they wrote, some of it
# eventually consistent, so that a follower that lags would show as a difference.
# Usage: tests/golden/run.sh PATH_OF_MERIDIAN [region]
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
source tests/servers.sh

"$program" dev --listen 127.0.0.1:0 --in-memory >"$work/dev.out" 2>"$work/dev.err" &
running+=($!)
await "$work/dev.out" '^ready '
echo "-- dev"
cargo xtask golden --url "$(sed -n 's/^ready //p' "$work/dev.out")"

if [[ ${2:-} != region ]]; then exit 0; fi
"$program" playground --regions golden-1 --base-port 18400 --data-dir "$work/region" --output json \
  >"$work/region.out" 2>"$work/region.err" &
running+=($!)
await "$work/region.out" router
for node in 0 1 2; do
  echo "-- a region of three nodes, through node $((node + 1))"
  cargo xtask golden --url "http://127.0.0.1:1840$node"
done
