# Servers that a test starts, in a folder that goes with them. Sourced by the `run.sh` of the tests.
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
