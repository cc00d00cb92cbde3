"""Consumers of a global table's streams, over boto3, while the nodes that lead are killed: every change
is told once and in the order of its item, at home and in another region; what time to live deletes is
marked at home, and comes to the other region as a replicated delete.

Usage: streams.py PROGRAM [SECONDS_OF_LOAD]     (with a Python that has boto3)
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from meridian import Running, get, until

PORT = 19200
TABLE = "told"
KEYS = 40
REFUSED = (BotoCoreError, ClientError)


def client(service, endpoint, region):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=5),
    )


class Anyone:
    """Calls a region's nodes in turn until one answers."""

    def __init__(self, service, region):
        endpoints = region["endpoints"]
        clients = [client(service, endpoint, region["name"]) for endpoint in endpoints]
        self.clients = itertools.cycle(clients)

    def call(self, operation, **parameters):
        deadline = time.monotonic() + 60
        while True:
            try:
                return getattr(next(self.clients), operation)(**parameters)
            except REFUSED:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


class Consumer(threading.Thread):
    """Follows every shard of the table's stream in one region."""

    def __init__(self, region):
        super().__init__(daemon=True)
        self.streams = Anyone("dynamodbstreams", region)
        self.told, self.ids, self.stop = {}, set(), threading.Event()
        [stream] = self.streams.call("list_streams", TableName=TABLE)["Streams"]
        self.arn = stream["StreamArn"]
        described = self.streams.call("describe_stream", StreamArn=self.arn)
        self.iterators = {
            shard["ShardId"]: self.streams.call(
                "get_shard_iterator",
                StreamArn=self.arn,
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )["ShardIterator"]
            for shard in described["StreamDescription"]["Shards"]
        }

    def run(self):
        while not self.stop.is_set():
            for shard, iterator in self.iterators.items():
                page = self.streams.call("get_records", ShardIterator=iterator, Limit=100)
                self.iterators[shard] = page["NextShardIterator"]
                for record in page["Records"]:
                    self.take(record)
            time.sleep(0.05)

    def take(self, record):
        assert record["eventID"] not in self.ids, f"told twice: {record}"
        self.ids.add(record["eventID"])
        change = record["dynamodb"]
        key = change["Keys"]["id"]["S"]
        before, after = (change.get(image, {}).get("v", {}).get("N") for image in ("OldImage", "NewImage"))
        history = self.told.setdefault(key, [])
        last = history[-1][1] if history else None
        assert before == last, f"{key}: from {before}, after {last}"
        history.append((before, after, record.get("userIdentity")))

    def last(self, key):
        history = self.told.get(key)
        return history[-1][1] if history else None


def write(region, keys, acknowledged, stop):
    """Counts each of its items up, one write after the other."""
    database = Anyone("dynamodb", region)
    numbers = itertools.count(1)
    while not stop.is_set():
        for key in keys:
            number = str(next(numbers))
            item = {"id": {"S": key}, "v": {"N": number}}
            # What has no answer may be there or not; it is not sent again.
            with contextlib.suppress(*REFUSED):
                next(database.clients).put_item(TableName=TABLE, Item=item)
                acknowledged[key].append(number)


def make_table(home, other):
    database = Anyone("dynamodb", home)
    database.call(
        "create_table",
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )

    def described():
        return database.call("describe_table", TableName=TABLE)["Table"]

    until("the table is active", lambda: described()["TableStatus"] == "ACTIVE")
    create = [{"Create": {"RegionName": other["name"]}}]
    database.call("update_table", TableName=TABLE, ReplicaUpdates=create)

    def replicated():
        states = {r["RegionName"]: r["ReplicaStatus"] for r in described().get("Replicas", [])}
        return described()["TableStatus"] == "ACTIVE" and states.get(other["name"]) == "ACTIVE"

    until("the replica is active", replicated)
    database.call(
        "update_time_to_live",
        TableName=TABLE,
        TimeToLiveSpecification={"AttributeName": "ends", "Enabled": True},
    )


def kill_in_turn(program, folder, home, seconds):
    """Kills one node of the region after the other, each started again before the next goes."""
    deadline, kills = time.monotonic() + seconds, 0
    cluster = f"{folder}/cluster.json"
    for position in itertools.cycle(range(len(home["nodes"]))):
        if time.monotonic() > deadline:
            return kills
        with open(cluster) as file:
            region = next(r for r in json.load(file)["regions"] if r["name"] == home["name"])
        node = region["nodes"][position]
        os.kill(node["pid"], signal.SIGKILL)
        kills += 1
        time.sleep(2)
        start = [program, "admin", "node", "start", str(node["id"]), "--cluster", cluster]
        until("it starts", lambda: subprocess.run(start, capture_output=True).returncode == 0)
        until("it serves", lambda: get(f"{node['admin']}/health/ready"))
        time.sleep(1)


def expire(home, consumers):
    """An item that expires: both regions tell of its end, home that it was the service's doing."""
    item = {"id": {"S": "brief"}, "v": {"N": "1"}, "ends": {"N": str(int(time.time()) + 2)}}
    Anyone("dynamodb", home).call("put_item", TableName=TABLE, Item=item)
    for consumer in consumers:
        until("its end is told", lambda one=consumer: len(one.told.get("brief", [])) == 2)
    service = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    marks = [consumer.told["brief"][1] for consumer in consumers]
    assert [mark[1] for mark in marks] == [None, None], marks
    assert [mark[2] for mark in marks] == [service, None], marks


def main():
    program = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30
    with tempfile.TemporaryDirectory() as folder:
        words = ["--base-port", PORT, "--data-dir", folder, "--regions", "us-east-1,eu-west-1"]
        with Running(program, "playground", *words, "--output", "json") as playground:
            home, other = json.loads(playground.line)["regions"]
            make_table(home, other)
            consumers = [Consumer(home), Consumer(other)]
            keys = [f"k{number}" for number in range(KEYS)]
            acknowledged, stop = {key: [] for key in keys}, threading.Event()
            writers = [
                threading.Thread(
                    target=write, args=(home, keys[part::4], acknowledged, stop), daemon=True
                )
                for part in range(4)
            ]
            for thread in consumers + writers:
                thread.start()
            kills = kill_in_turn(program, folder, home, seconds)
            stop.set()
            for writer in writers:
                writer.join()
            database = Anyone("dynamodb", home)
            for key in keys:
                read = {"TableName": TABLE, "Key": {"id": {"S": key}}, "ConsistentRead": True}
                now = database.call("get_item", **read)["Item"]["v"]["N"]
                for consumer in consumers:
                    until(f"{key} is told to the end", lambda one=consumer: one.last(key) == now)
                told = [after for _, after, _ in consumers[0].told[key]]
                assert len(set(told)) == len(told), f"{key}: a value twice"
                missing = set(acknowledged[key]) - set(told)
                assert not missing, f"{key}: never told: {missing}"
            expire(home, consumers)
            for consumer in consumers:
                assert consumer.is_alive(), "a consumer failed"
                consumer.stop.set()
            writes = sum(map(len, acknowledged.values()))
            changes = [len(consumer.ids) for consumer in consumers]
            print(f"{writes} writes acknowledged over {kills} kills; changes told: {changes}")
    print("1 passed, 0 failed")


main()
