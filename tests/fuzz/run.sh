#!/usr/bin/env bash
# Runs every fuzz target for some seconds, then keeps of its corpus what covers the most.
# Usage: tests/fuzz/run.sh SECONDS [TARGET ...]
set -euo pipefail
cd "$(dirname "$0")"
seconds=$1
shift
targets=("$@")
if [ ${#targets[@]} = 0 ]; then mapfile -t targets < <(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' Cargo.toml); fi
fuzz() { cargo fuzz "$1" --fuzz-dir . --sanitizer none "${@:2}"; }
for target in "${targets[@]}"; do
  echo "== $target"
  mkdir -p "work/$target" "corpus/$target"
  fuzz run "$target" "work/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
