"""What a node keeps is overwritten: a damaged engine is rebuilt from the peers, also when it is
damaged while the node runs; a node with a damaged log comes back as a learner; nothing acknowledged
is lost, and all replicas are equal.

Usage: damaged.py PROGRAM
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading

from meridian import Failed, Running, call, create_table, get, has, put, until

PORT = 19800
TABLE = "notes"
# More than the entries that a group keeps behind what its engine holds.
WRITES = 30_000
WRITERS = 4
LARGE = 2_000


def fill(endpoint, name, count, size=100):
    """Writes items, several at a time."""

    def write(first):
        for number in range(first, count, WRITERS):
            put(endpoint, TABLE, f"{name}-{number}", size=size)

    writers = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def overwrite(folder):
    """Overwrites the second and third quarter of what every file holds."""
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "r+b") as file:
                content = file.read().rstrip(b"\0")
                start, count = len(content) // 4, len(content) // 2
                file.seek(start)
                file.write(bytes(byte ^ 0x5A for byte in content[start : start + count]))


def read_all(endpoint):
    """Reads the table through one node until it answers no more."""
    while True:
        page = {}
        try:
            while page is not None:
                start = {"ExclusiveStartKey": page} if page else {}
                page = call(endpoint, "Scan", {"TableName": TABLE, **start}).get("LastEvaluatedKey")
        except Failed:
            pass
        except OSError:
            return


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--base-port", PORT, "--regions", "r", "--partitions", 1, "--output", "json"]
        with Running(program, "playground", *words, "--data-dir", f"{folder}/d") as running:
            cluster = json.loads(running.line)
            home, endpoint = cluster["regions"][0]["endpoints"][:2]
            node = cluster["regions"][0]["nodes"][1]
            tools = ["--cluster", f"{folder}/d/cluster.json"]
            create_table(home, TABLE)

            def said(text):
                with open(os.path.join(os.path.dirname(node["data_dir"]), "node.log")) as log:
                    return text in log.read()

            def again(what):
                start = [program, "admin", "node", "start", str(node["id"]), *tools]
                subprocess.run(start, check=True, capture_output=True)
                until(f"it serves after {what}", lambda: get(f"{node['admin']}/health/ready"), 120)

            def pid():
                with open(f"{folder}/d/cluster.json") as file:
                    nodes = json.load(file)["regions"][0]["nodes"]
                return next(n["pid"] for n in nodes if n["id"] == node["id"])

            def kill():
                killed = pid()
                os.kill(killed, signal.SIGKILL)
                until("the process is gone", lambda: not os.path.exists(f"/proc/{killed}"))

            fill(home, "before", WRITES)
            kill()
            overwrite(f"{node['data_dir']}/engine")
            fill(home, "meanwhile", 200)
            again("its engine was damaged")
            assert said("the engine is damaged") and said("a replica was rebuilt from a peer")
            print("a damaged engine: noticed, set aside, rebuilt from a peer")
            kill()
            overwrite(f"{node['data_dir']}/log")
            fill(home, "later", 200)
            again("its log was damaged")
            assert said("the log is damaged") and said("it comes back as a new member")
            print("a damaged log: noticed, set aside, back as a learner")

            # More than an engine caches or keeps in memory.
            fill(home, "large", LARGE, size=60_000)
            running_pid = pid()
            overwrite(f"{node['data_dir']}/engine")
            reader = threading.Thread(target=read_all, args=(endpoint,), daemon=True)
            reader.start()
            until("it ends by itself", lambda: not os.path.exists(f"/proc/{running_pid}"), 120)
            again("its engine was found damaged")
            assert said("the node ends, and is rebuilt when it starts")
            print("an engine damaged under a running node: noticed, and rebuilt")

            def equal():
                verify = [program, "verify", TABLE, *tools]
                return subprocess.run(verify, capture_output=True).returncode == 0

            until("the replicas are equal", equal)
            kept = [("before", WRITES, 97), ("meanwhile", 200, 1), ("later", 200, 1)]
            kept.append(("large", LARGE, 7))
            for name, count, step in kept:
                assert all(has(home, TABLE, f"{name}-{n}") for n in range(0, count, step)), name
    print("1 passed, 0 failed")


main()
