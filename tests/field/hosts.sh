# Ten hosts in network namespaces: the nine nodes of deploy/config at their addresses, and one for
# clients, with the router. Sourced by run.sh and start_node.sh; needs root and iproute2.
#
# FIELD is the folder of the run, PROGRAM the program, CONFIGS the folder of the nine files.

HUB=meridian-hub
CLIENTS=meridian-clients
NODES=(us-east-1-a us-east-1-b us-east-1-c eu-west-1-a eu-west-1-b eu-west-1-c
  ap-northeast-1-a ap-northeast-1-b ap-northeast-1-c)

host_of() { echo "meridian-$1"; }
setting() { sed -n "s/^$2 = \"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$1"; }
address_of() { setting "$1" listen_client | cut -d: -f1; }

# Makes a host with an address and a cable to the hub.
make_host() {
  local host=$1 address=$2 cable=$3
  ip netns add "$host"
  ip link add "$cable" netns "$HUB" type veth peer name eth0 netns "$host"
  ip -n "$HUB" link set "$cable" master bridge up
  ip -n "$host" address add "$address/8" dev eth0
  ip -n "$host" link set lo up
  ip -n "$host" link set eth0 up
}

make_hosts() {
  ip netns add "$HUB"
  ip -n "$HUB" link add bridge type bridge
  ip -n "$HUB" link set bridge up
  local n=0
  for node in "${NODES[@]}"; do
    n=$((n + 1))
    make_host "$(host_of "$node")" "$(address_of "$CONFIGS/$node.toml")" "node$n"
  done
  make_host "$CLIENTS" 10.9.0.1 clients
}

remove_hosts() {
  for host in "$CLIENTS" "$HUB" $(for node in "${NODES[@]}"; do host_of "$node"; done); do
    ip netns del "$host" 2>/dev/null || true
  done
}

# Starts a node with its file as it is, but for where data and secret are; notes its process.
start_node() {
  local name=$1 config=$2 id
  id=$(setting "$config" node_id)
  MERIDIAN_DATA_DIR="$FIELD/data-$id" MERIDIAN_CLUSTER_SECRET_FILE="$FIELD/cluster.secret" \
    setsid ip netns exec "$(host_of "$name")" "$PROGRAM" serve --config "$config" \
    >>"$FIELD/node-$id.out" 2>>"$FIELD/node-$id.err" </dev/null &
  echo $! >"$FIELD/node-$id.pid"
}

# Writes the processes' numbers into the file that the tools read.
note_processes() {
  local file
  for file in "$FIELD"/node-*.pid; do
    printf '%s %s\n' "$(basename "$file" .pid | cut -d- -f2)" "$(cat "$file")"
  done | python3 -c '
import json, os, sys
path, data = sys.argv[1:]
pids = dict(map(int, line.split()) for line in sys.stdin)
cluster = json.load(open(path))
for region in cluster["regions"]:
    for node in region["nodes"]:
        node["pid"] = pids.get(node["id"])
        node["data_dir"] = f"{data}/data-{node['"'id'"']}"
open(path + ".new", "w").write(json.dumps(cluster))
os.replace(path + ".new", path)
' "$FIELD/cluster.json" "$FIELD"
}

# Waits until a command succeeds, for so many seconds at most.
await() {
  local seconds=$1 deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || { echo "never, in $seconds s: $*" >&2; return 1; }
    sleep 0.2
  done
}
