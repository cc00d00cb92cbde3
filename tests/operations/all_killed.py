"""All nine nodes of a playground are killed in the middle of load, and started again on their data:
nothing acknowledged is lost, and everything is equal.

Usage: all_killed.py PROGRAM [ENGINE [SECONDS_OF_LOAD]]
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from meridian import Failed, Running, call, create_table, get, has, put, until

PORT = 19000
TABLE = "kept"


def write(endpoint, name, acknowledged, stop):
    """Writes one item after the other; notes those that were acknowledged."""
    number = 0
    while not stop.is_set():
        identity = f"{name}-{number}"
        number += 1
        try:
            put(endpoint, TABLE, identity, timeout=3)
            acknowledged.append(identity)
        except (OSError, Failed):
            time.sleep(0.02)


def make_global(cluster):
    home = cluster["regions"][0]["endpoints"][0]
    create_table(home, TABLE)
    for region in cluster["regions"][1:]:
        name = region["name"]
        create = {"ReplicaUpdates": [{"Create": {"RegionName": name}}]}
        until(f"{name} is added", lambda: call(home, "UpdateTable", {"TableName": TABLE, **create}))

        def active():
            table = call(home, "DescribeTable", {"TableName": TABLE})["Table"]
            states = {r["RegionName"]: r["ReplicaStatus"] for r in table.get("Replicas", [])}
            return table["TableStatus"] == "ACTIVE" and states.get(name) == "ACTIVE"

        until(f"the replica in {name} is active", active)


def main():
    program = sys.argv[1]
    engine = sys.argv[2] if len(sys.argv) > 2 else "fjall"
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 8
    with tempfile.TemporaryDirectory() as folder:
        words = ["--base-port", PORT, "--data-dir", folder, "--engine", engine, "--output", "json"]
        with Running(program, "playground", *words) as playground:
            cluster = json.loads(playground.line)
            nodes = [node for region in cluster["regions"] for node in region["nodes"]]
            make_global(cluster)
            acknowledged, stop = [], threading.Event()
            writers = [
                threading.Thread(
                    target=write, args=(n["endpoint"], n["id"], acknowledged, stop), daemon=True
                )
                for n in nodes
            ]
            for writer in writers:
                writer.start()
            time.sleep(seconds)
            for node in nodes:
                os.kill(node["pid"], signal.SIGKILL)
            stop.set()
            for writer in writers:
                writer.join()
            print(f"{engine}: {len(acknowledged)} writes acknowledged, nine nodes killed")
            tools = ["--cluster", f"{folder}/cluster.json"]
            for node in nodes:
                start = [program, "admin", "node", "start", str(node["id"]), *tools]
                until(
                    f"node {node['id']} starts",
                    lambda start=start: subprocess.run(start, capture_output=True).returncode == 0,
                )
            began = time.monotonic()
            for node in nodes:
                until(f"node {node['id']} serves", lambda url=node["admin"]: get(f"{url}/health/ready"))
            print(f"all serve {time.monotonic() - began:.1f} s after the last start")
            homes = {n["id"]: r["endpoints"][0] for r in cluster["regions"] for n in r["nodes"]}
            lost = [one for one in acknowledged if not has(homes[int(one.split("-")[0])], TABLE, one)]
            if lost:
                raise SystemExit(f"{len(lost)} acknowledged writes are lost: {lost[:5]}")
            verified = subprocess.run([program, "verify", TABLE, *tools], text=True, capture_output=True)
            if verified.returncode != 0:
                raise SystemExit(f"not equal: {verified.stdout}{verified.stderr}")
            print("nothing acknowledged is lost; replicas and regions are equal")
    print("1 passed, 0 failed")


main()
