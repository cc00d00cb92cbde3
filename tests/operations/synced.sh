#!/usr/bin/env bash
# One client's writes are synced one by one: 100 puts on `dev`, at least 100 fdatasync.
# Needs strace, and Python 3. Usage: synced.sh PATH_OF_MERIDIAN
set -euo pipefail
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'kill "$(cat "$work/pid")" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
strace -f -qq -e trace=fdatasync -o "$work/calls" \
  sh -c 'echo $$ >"$1/pid"; exec "$2" dev --listen 127.0.0.1:0 --data-dir "$1/data"' \
  sh "$work" "$program" >"$work/out" &
until grep -q '^ready ' "$work/out"; do sleep 0.1; done
PYTHONPATH="$here" python3 - "$(sed -n 's/^ready //p' "$work/out")" "$work/calls" <<'PYTHON'
import sys
from meridian import create_table, put
endpoint, calls = sys.argv[1:]
create_table(endpoint, "notes")
count = lambda: sum("fdatasync(" in line for line in open(calls))
before = count()
for number in range(100):
    put(endpoint, "notes", str(number))
synced = count() - before
print(f"100 puts, {synced} fdatasync")
assert synced >= 100
PYTHON
echo "1 passed, 0 failed"
