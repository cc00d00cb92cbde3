#!/usr/bin/env bash
# Starts the node NODE_ID of a field again, as an init system does: what drills call.
set -euo pipefail
source "$(dirname "$0")/hosts.sh"
for name in "${NODES[@]}"; do
  if [[ "$(setting "$CONFIGS/$name.toml" node_id)" == "$NODE_ID" ]]; then
    start_node "$name" "$CONFIGS/$name.toml"
    note_processes
    exit
  fi
done
echo "there is no node $NODE_ID" >&2
exit 1
