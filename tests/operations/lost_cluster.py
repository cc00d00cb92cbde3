"""A cluster is gone with its disks, in the middle of load: another is made from the archive alone.

What comes back is the state at one moment, the last that was archived: of each item the last write that
was acknowledged before it, or one that was under way then, and never a later one.

Usage: lost_cluster.py PROGRAM [SECONDS_OF_LOAD]
"""

import datetime
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from meridian import Failed, Running, call, until

PORT = 19200
KEYS = 200
TABLES = ["films", "music"]
BEHIND_S_MAX = 5


def create(endpoint, name):
    """A table with an index and every setting that is to come back."""
    call(
        endpoint,
        "CreateTable",
        {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "n", "AttributeType": "N"},
            ],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by-n",
                    "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
            "Tags": [{"Key": "team", "Value": name}],
        },
    )

    def active():
        table = call(endpoint, "DescribeTable", {"TableName": name})["Table"]
        return table["TableStatus"] == "ACTIVE"

    until(f"{name} is active", active)
    ttl = {"Enabled": True, "AttributeName": "expires"}
    call(endpoint, "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": ttl})
    recovery = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 9}
    words = {"TableName": name, "PointInTimeRecoverySpecification": recovery}
    until(f"recovery of {name} is on", lambda: call(endpoint, "UpdateContinuousBackups", words))


def recovery_of(endpoint, name):
    answer = call(endpoint, "DescribeContinuousBackups", {"TableName": name})
    return answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]


def write(endpoint, share, stop, history):
    """Overwrites items of its own, each with a number above the one before."""
    number = 0
    while not stop.is_set():
        number += 1
        table, key = random.choice(TABLES), random.choice(share)
        begun = time.time()
        item = {"id": {"S": key}, "n": {"N": str(number)}}
        try:
            call(endpoint, "PutItem", {"TableName": table, "Item": item}, timeout=3)
            history[table].setdefault(key, []).append((number, begun, time.time()))
        except (OSError, Failed):
            history[table].setdefault(key, []).append((number, begun, None))


def items_of(endpoint, name):
    items, start = {}, {}
    while True:
        page = call(endpoint, "Scan", {"TableName": name, "ConsistentRead": True, **start})
        items.update({item["id"]["S"]: int(item["n"]["N"]) for item in page["Items"]})
        if "LastEvaluatedKey" not in page:
            return items
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def wrong_items(items, history, at):
    """What cannot have been at that time, given what was asked for and acknowledged."""
    wrong = [f"{key} was never written" for key in items.keys() - history.keys()]
    for key, writes in history.items():
        done = [n for n, _, acked in writes if acked is not None and acked < at]
        begun = [n for n, begun, _ in writes if begun <= at]
        low, found = max(done, default=0), items.get(key, 0)
        if not (found == 0 or found in begun) or found < low:
            wrong.append(f"{key}: {found}, and {low} was acknowledged, {begun[-3:]} begun")
    return wrong


def check_settings(endpoint, name):
    table = call(endpoint, "DescribeTable", {"TableName": name})["Table"]
    assert table["StreamSpecification"]["StreamViewType"] == "KEYS_ONLY", table
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["by-n"], table
    tags = call(endpoint, "ListTagsOfResource", {"ResourceArn": table["TableArn"]})["Tags"]
    assert tags == [{"Key": "team", "Value": name}], tags
    ttl = call(endpoint, "DescribeTimeToLive", {"TableName": name})["TimeToLiveDescription"]
    assert ttl["AttributeName"] == "expires", ttl
    assert recovery_of(endpoint, name)["RecoveryPeriodInDays"] == 9


def check_index(endpoint, name, items):
    entries, start = {}, {}
    while True:
        page = call(endpoint, "Scan", {"TableName": name, "IndexName": "by-n", **start})
        entries.update({item["id"]["S"]: int(item["n"]["N"]) for item in page["Items"]})
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert entries == items, f"{name}: the index holds {len(entries)} entries of {len(items)} items"


def lose(program, folder, seconds):
    """Runs a cluster under load and kills it; gives its id, what was written, and when it ended."""
    words = ["--regions", "eu-test-1", "--base-port", PORT, "--data-dir", folder]
    with Running(program, "playground", *words, "--output", "json") as playground:
        cluster = json.loads(playground.line)
        nodes = cluster["regions"][0]["nodes"]
        status = ["admin", "status", "--cluster", f"{folder}/cluster.json", "--output", "json"]
        status = json.loads(subprocess.check_output([program, *status]))
        for name in TABLES:
            create(nodes[0]["endpoint"], name)
        history, stop = {name: {} for name in TABLES}, threading.Event()
        shares = [[f"k{n}" for n in range(KEYS) if n % len(nodes) == s] for s in range(len(nodes))]
        writers = [
            threading.Thread(target=write, args=(n["endpoint"], share, stop, history), daemon=True)
            for n, share in zip(nodes, shares)
        ]
        for writer in writers:
            writer.start()
        for name in TABLES:
            shown = lambda: "LatestRestorableDateTime" in recovery_of(nodes[0]["endpoint"], name)
            until(f"{name} is archived", shown)
        time.sleep(seconds)
        for node in nodes:
            os.kill(node["pid"], signal.SIGKILL)
        ended = time.time()
        stop.set()
        for writer in writers:
            writer.join()
    return status["cluster_id"], history, ended


def main():
    program = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory() as old, tempfile.TemporaryDirectory() as new:
        cluster, history, ended = lose(program, old, seconds)
        writes = sum(len(of) for table in history.values() for of in table.values())
        print(f"{writes} writes to {len(TABLES)} tables, then every node is killed")
        for kept in ["archive", "archive.key"]:
            shutil.move(f"{old}/{kept}", f"{new}/{kept}")
        shutil.rmtree(old)
        os.mkdir(old)
        words = ["--regions", "us-test-2", "--base-port", PORT, "--data-dir", new]
        with Running(program, "playground", *words, "--output", "json") as playground:
            endpoint = json.loads(playground.line)["regions"][0]["endpoints"][1]
            tools = ["--cluster", f"{new}/cluster.json", "--output", "json"]
            rebuild = ["admin", "archive", "rebuild", "--from-cluster", cluster]
            began = time.monotonic()
            answer = subprocess.run(
                [program, *rebuild, "--from-region", "eu-test-1", *tools],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            took = time.monotonic() - began
            answer = json.loads(answer.stdout)
            made = {one["table"]: one["at"] for one in answer["made"]}
            assert sorted(made) == TABLES and not answer["left"], answer
            wrong = []
            for name, at in made.items():
                moment = datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
                items = items_of(endpoint, name)
                found = wrong_items(items, history[name], moment)
                wrong += found
                check_settings(endpoint, name)
                check_index(endpoint, name, items)
                behind = ended - moment
                print(f"{name}: {len(items)} items as of {behind:.1f} s before, {len(found)} wrong")
                assert items and behind <= BEHIND_S_MAX, f"the archive ended {behind} s before"
            print(f"made again from the archive alone in {took:.1f} s, one moment for all tables")
            assert len(set(made.values())) == 1, made
            if wrong:
                raise SystemExit("\n".join(wrong[:20]))


main()
