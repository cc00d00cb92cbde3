#!/usr/bin/env bash
# The nine configuration files of deploy/, unchanged but for data paths, on nine hosts in network
# namespaces: founded as docs/operations/first-cluster.md says; unmodified clients in every region; a
# leader's node killed and stopped; a region whose packets are dropped; a node that is gone for good
# and replaced by an empty one; all replicas and regions equal at the end.
# Needs root, iproute2, iptables, systemd-analyze, Python 3 with venv, and cargo.
# Usage: tests/field/run.sh PATH_OF_MERIDIAN [TRIALS_OF_NODE_LOSS [TRIALS_OF_REGION_LOSS]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PROGRAM CONFIGS FIELD
PROGRAM=$(realpath "$1")
CONFIGS=$(realpath "$here/../../deploy/config")
FIELD=$(mktemp -d)
node_trials=${2:-3}
region_trials=${3:-1}
source "$here/hosts.sh"

stop() {
  local status=$?
  for file in "$FIELD"/*.pid; do kill "$(cat "$file")" 2>/dev/null || true; done
  sleep 3
  for file in "$FIELD"/*.pid; do kill -9 "$(cat "$file")" 2>/dev/null || true; done
  remove_hosts
  if [[ $status -ne 0 ]]; then
    tail -n 5 "$FIELD"/*.err >&2
    echo "what is left of it: $FIELD" >&2
  else
    rm -rf "$FIELD"
  fi
}
trap stop EXIT

step() { printf '\n-- %s\n' "$*"; }
clients() { ip netns exec "$CLIENTS" "$@"; }
C=(--cluster "$FIELD/cluster.json" --cluster-secret-file "$FIELD/cluster.secret")
meridian() { clients "$PROGRAM" "$@" "${C[@]}"; }

step "the units"
systemd-analyze verify "$here"/../../deploy/systemd/*.service

step "clients are made ready"
"$here/../sdk/prepare.sh" "$FIELD/clients"

step "nine hosts, nine nodes"
make_hosts
head -c 32 /dev/urandom | base64 | tr -d '\n' >"$FIELD/cluster.secret"
cp "$CONFIGS/cluster.json" "$FIELD/cluster.json"
for name in "${NODES[@]}"; do start_node "$name" "$CONFIGS/$name.toml"; done
note_processes
await 30 meridian admin cluster init --nodes 9
for name in "${NODES[@]}"; do
  await 30 clients curl -sf "http://$(setting "$CONFIGS/$name.toml" listen_admin)/health/ready"
done
MERIDIAN_STATE_FILE="$FIELD/router.json" MERIDIAN_CLUSTER_SECRET_FILE="$FIELD/cluster.secret" \
  setsid ip netns exec "$CLIENTS" "$PROGRAM" router --config "$CONFIGS/router.toml" \
  >"$FIELD/router.out" 2>"$FIELD/router.err" </dev/null &
echo $! >"$FIELD/router.pid"
await 30 clients curl -sf http://127.0.0.1:8100/health/ready
meridian admin status

step "unmodified clients, through nodes and through the router"
replicas=(eu-west-1=http://10.2.0.12:8000 ap-northeast-1=http://10.3.0.13:8000)
clients "$here/../sdk/journeys.sh" "$FIELD/clients" http://10.1.0.11:8000 "${replicas[@]}"
clients "$here/../sdk/journeys.sh" "$FIELD/clients" http://127.0.0.1:8000 "${replicas[@]}"

for fault in kill stop; do
  step "node-loss, $fault, $node_trials trials"
  meridian drill node-loss --fault "$fault" --trials "$node_trials" --report "$FIELD/node-$fault" \
    --start-node "$here/start_node.sh"
done

step "region-loss by dropped packets, $region_trials trials"
meridian drill region-loss --fault blackhole-net --trials "$region_trials" \
  --report "$FIELD/region-loss" --start-node "$here/start_node.sh"

step "node 2 is gone for good, an empty one takes its place"
old=$(cat "$FIELD/node-2.pid")
kill -9 "$old"
# Its sockets are its own until it has ended, as a zombie or wholly.
ended() { [[ ! -e /proc/$old/stat || $(sed 's/.*) //' "/proc/$old/stat") == Z* ]]; }
await 10 ended
rm -r "$FIELD/node-2.pid" "$FIELD/data-2"
one=(--endpoint http://10.1.0.11:8100 --cluster-secret-file "$FIELD/cluster.secret")
clients "$PROGRAM" admin node remove 2 "${one[@]}"
sed 's/^node_id = 2$/node_id = 10/' "$CONFIGS/us-east-1-b.toml" >"$FIELD/new.toml"
start_node us-east-1-b "$FIELD/new.toml"
sed -i 's/"id": 2,/"id": 10,/' "$FIELD/cluster.json"
note_processes
await 30 clients "$PROGRAM" admin node add 10 "${one[@]}"
whole() {
  meridian admin status --output json | python3 -c '
import json, sys
partitions = [p for p in json.load(sys.stdin)["partitions"] if p["region"] == "us-east-1"]
sets = [p["replicas"] for p in partitions]
assert partitions and all(len(r) == 3 and 10 in r and p["leader"] for r, p in zip(sets, partitions))'
}
await 60 whole
await 30 clients curl -sf http://10.1.0.12:8100/health/ready

step "everything is equal"
meridian verify
printf '\n1 passed, 0 failed\n'
