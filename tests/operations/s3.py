"""The archive and the buckets of a region of three nodes in an object store that speaks S3 (moto's
server): moments, backups, exports and imports come back equal; while the store refuses, hangs or cuts
its answers short writes go on, and the archive catches up by itself; a damaged object is named and
nothing is restored from it.

Usage: s3.py PROGRAM
Needs boto3 and moto's server: tests/sdk/requirements.txt.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import boto3

from meridian import Failed, call, create_table, get, put, until

SECONDS_MAX = 900
TABLE = "notes"
ITEMS = 300
NODES = 3
BUCKETS = ("archive", "lake")
KEYS = {"aws_access_key_id": "an-id", "aws_secret_access_key": "a-secret"}


def free_ports(count):
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            found = held.enter_context(socket.socket())
            found.bind(("127.0.0.1", 0))
            ports.append(found.getsockname()[1])
        return ports


class Proxy:
    """Passes connections on to a port, or does to them what a store does that fails."""

    def __init__(self, target):
        self.target, self.mode, self.connections = target, "pass", 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.connections += 1
            if self.mode == "refuse":
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink, answers in ((client, server, False), (server, client, True)):
                pump = threading.Thread(target=self.pump, args=(source, sink, answers), daemon=True)
                pump.start()

    def pump(self, source, sink, answers):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.mode == "hang":
                    time.sleep(0.02)
                if self.mode == "refuse":
                    break
                if self.mode == "cut" and answers:
                    sink.sendall(data[: len(data) // 2])
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def ended(process):
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def node_file(folder, node, ports, seeds, store_port):
    """Writes the configuration of a node."""
    client, admin, peer = ports
    options = f"""
aws_region = "us-east-1"
aws_endpoint = "http://127.0.0.1:{store_port}"
aws_access_key_id = "{KEYS["aws_access_key_id"]}"
aws_secret_access_key_file = "{folder}/secret"
aws_allow_http = "true"
"""
    text = f"""
node_id = {node}
region = "r"
zone = "z{node}"
listen_client = "127.0.0.1:{client}"
listen_admin = "127.0.0.1:{admin}"
listen_peer = "127.0.0.1:{peer}"
seeds = {json.dumps(seeds)}
data_dir = "{folder}/{node}"
partitions = 2
archive_url = "s3://archive/of/meridian"
archive_key_file = "{folder}/archive.key"
[archive_options]{options}
[buckets]
lake = "s3://lake/exports"
missing = "s3://no-such-bucket"
[bucket_options]{options}
"""
    path = f"{folder}/node-{node}.toml"
    with open(path, "w") as file:
        file.write(text)
    return path


class Region:
    """Three nodes."""

    def __init__(self, program, folder, store_port, held):
        self.folder = folder
        with open(f"{folder}/archive.key", "w") as file:
            file.write(os.urandom(32).hex())
        with open(f"{folder}/secret", "w") as file:
            file.write(KEYS["aws_secret_access_key"] + "\n")
        ports = [free_ports(3) for _ in range(NODES)]
        seeds = [f"127.0.0.1:{peer}" for _, _, peer in ports]
        nodes = []
        for node, its in enumerate(ports, 1):
            path = node_file(folder, node, its, seeds, store_port)
            words = [program, "serve", "--config", path]
            subprocess.run([*words, "--check-config"], check=True)
            log = held.enter_context(open(self.log(node), "w"))
            held.enter_context(ended(subprocess.Popen(words, stderr=log)))
            urls = [f"http://127.0.0.1:{port}" for port in its[:2]]
            nodes.append({"id": node, "pid": None, "endpoint": urls[0], "admin": urls[1]})
        self.endpoints = [node["endpoint"] for node in nodes]
        regions = [{"name": "r", "endpoints": self.endpoints, "nodes": nodes}]
        with open(f"{folder}/cluster.json", "w") as file:
            json.dump({"router": self.endpoints[0], "regions": regions}, file)
        found = [program, "admin", "cluster", "init", "--nodes", str(NODES)]
        found += ["--cluster", f"{folder}/cluster.json"]

        def founded():
            return subprocess.run(found, capture_output=True).returncode == 0

        until("the cluster is founded", founded)
        for node in nodes:
            until("a node is ready", lambda: get(f"{node['admin']}/health/ready"))

    def log(self, node):
        return f"{self.folder}/node-{node}.log"

    def call(self, operation, body):
        return call(self.endpoints[0], operation, body, timeout=30)

    def said(self, *words):
        """A line of a log that holds all of some words."""
        for node in range(1, NODES + 1):
            with open(self.log(node)) as log:
                for line in log:
                    if all(word in line for word in words):
                        return line
        return None

    def status(self, table):
        return self.call("DescribeTable", {"TableName": table})["Table"]["TableStatus"]

    def arn(self, table):
        return self.call("DescribeTable", {"TableName": table})["Table"]["TableArn"]

    def content(self, table):
        items, page = {}, {}
        while page is not None:
            start = {"ExclusiveStartKey": page} if page else {}
            answer = self.call("Scan", {"TableName": table, "ConsistentRead": True, **start})
            items |= {item["id"]["S"]: item["v"]["S"] for item in answer["Items"]}
            page = answer.get("LastEvaluatedKey")
        return items

    def latest(self):
        described = self.call("DescribeContinuousBackups", {"TableName": TABLE})
        described = described["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        return described.get("LatestRestorableDateTime", 0)

    def begin_restore(self, name, moment):
        request = {"SourceTableName": TABLE, "TargetTableName": name, "RestoreDateTime": moment}
        self.call("RestoreTableToPointInTime", request)

    def is_equal(self, name, expected):
        until(f"{name} is active", lambda: self.status(name) == "ACTIVE", 120)
        found = self.content(name)
        differing = [key for key in expected | found if expected.get(key) != found.get(key)]
        assert not differing, f"{name} differs in {differing[:5]} and {len(differing)} in all"


class History:
    """What was written, and what the table held at some moments."""

    def __init__(self, region):
        self.region, self.now, self.slowest_ms, self.sizes = region, {}, 0, 100

    def write(self, first, count):
        for number in range(first, first + count):
            self.sizes += 1
            began = time.monotonic()
            put(self.region.endpoints[number % NODES], TABLE, f"k{number}", size=self.sizes)
            self.slowest_ms = max(self.slowest_ms, (time.monotonic() - began) * 1000)
            self.now[f"k{number}"] = "x" * self.sizes

    def delete(self, number):
        key = {"id": {"S": f"k{number}"}}
        self.region.call("DeleteItem", {"TableName": TABLE, "Key": key})
        self.now.pop(f"k{number}", None)

    def moment(self):
        """A whole second in which nothing is written."""
        time.sleep(1.5)
        moment, content = int(time.time()), dict(self.now)
        time.sleep(1)
        return moment, content


def comes_back(region, name, moment, expected, what):
    began = time.monotonic()
    until(f"{what} is archived", lambda: region.latest() > moment)
    archived = time.monotonic() - began
    region.begin_restore(name, moment)
    region.is_equal(name, expected)
    took = time.monotonic() - began - archived
    print(f"{what}: archived after {archived:.1f} s, restored in {took:.1f} s, equal")


def backups(region, history):
    expected = dict(history.now)
    made = region.call("CreateBackup", {"TableName": TABLE, "BackupName": "of-notes"})
    arn = made["BackupDetails"]["BackupArn"]

    def available():
        described = region.call("DescribeBackup", {"BackupArn": arn})["BackupDescription"]
        return described["BackupDetails"]["BackupStatus"] == "AVAILABLE"

    until("the backup is available", available)
    region.call("RestoreTableFromBackup", {"TargetTableName": "of-backup", "BackupArn": arn})
    region.is_equal("of-backup", expected)
    print("a backup: restored, equal")


def import_of(table, bucket, prefix):
    return {
        "S3BucketSource": {"S3Bucket": bucket, "S3KeyPrefix": prefix},
        "InputFormat": "DYNAMODB_JSON",
        "InputCompressionType": "GZIP",
        "TableCreationParameters": {
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        },
    }


def jobs(region, history):
    def export_to(bucket):
        request = {"TableArn": region.arn(TABLE), "S3Bucket": bucket}
        arn = region.call("ExportTableToPointInTime", request)["ExportDescription"]["ExportArn"]
        return ended_job("DescribeExport", "ExportDescription", {"ExportArn": arn}, "ExportStatus")

    def import_from(table, bucket, prefix):
        begun = region.call("ImportTable", import_of(table, bucket, prefix))
        arn = {"ImportArn": begun["ImportTableDescription"]["ImportArn"]}
        return ended_job("DescribeImport", "ImportTableDescription", arn, "ImportStatus")

    def ended_job(operation, part, arn, status):
        def described():
            return region.call(operation, arn)[part]

        until("the job has ended", lambda: described()[status] != "IN_PROGRESS", 120)
        return described()

    expected = dict(history.now)
    export = export_to("lake")
    assert export["ExportStatus"] == "COMPLETED", export
    folder = os.path.dirname(export["ExportManifest"])
    imported = import_from("imported", "lake", f"{folder}/data/")
    assert imported["ImportStatus"] == "COMPLETED", imported
    region.is_equal("imported", expected)
    print(f"an export of {export['ItemCount']} items: imported, equal")
    for job in (export_to("missing"), import_from("never", "missing", "")):
        assert job["FailureCode"] == "S3NoSuchBucket", job
    print("a bucket that is not there: S3NoSuchBucket")


def faults(region, history, proxy):
    history.slowest_ms = 0
    history.write(0, 300)
    print(f"while it answers: the slowest of 300 writes took {history.slowest_ms:.0f} ms")
    for number, mode in enumerate(("refuse", "cut", "hang")):
        history.slowest_ms, proxy.mode = 0, mode
        for round in range(3):
            history.write(100 * round, 100)
        moment, expected = history.moment()
        print(f"while it does {mode}: the slowest of 300 writes took {history.slowest_ms:.0f} ms")
        assert history.slowest_ms < 5_000
        proxy.mode = "pass"
        comes_back(region, f"after-{number}", moment, expected, f"a moment in the {mode}")
    assert region.said("WARN", "a partition is not archived"), "nobody said so"


def damage(region, history, s3):
    """Damages a segment that the change log does not hold any more."""
    moment, expected = history.moment()
    until("it is archived", lambda: region.latest() > moment)
    listed = s3.get_paginator("list_objects_v2").paginate(Bucket="archive")
    keys = [one["Key"] for page in listed for one in page.get("Contents", [])]
    segments = sorted(key for key in keys if "/tables/" in key and "/log/" in key)
    print(f"the archive has {len(keys)} objects, {len(segments)} of them segments")
    key = segments[0]
    body = s3.get_object(Bucket="archive", Key=key)["Body"].read()
    middle = len(body) // 2
    flipped = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    s3.put_object(Bucket="archive", Key=key, Body=flipped)
    region.begin_restore("damaged", moment)
    name = key.removeprefix("of/meridian/")
    words = ("a partition is not restored", name, "is damaged at byte")
    until("the damage is named", lambda: region.said(*words))
    print(region.said(*words).split(" why=")[-1].strip())
    assert region.status("damaged") == "CREATING"
    try:
        page = call(region.endpoints[0], "Scan", {"TableName": "damaged"})
        raise SystemExit(f"a table that is not restored shows {page}")
    except Failed:
        pass
    s3.put_object(Bucket="archive", Key=key, Body=body)
    region.is_equal("damaged", expected)
    print("put back as it was: restored by itself, equal")


def main():
    program = sys.argv[1]
    signal.alarm(SECONDS_MAX)
    with contextlib.ExitStack() as held:
        folder = held.enter_context(tempfile.TemporaryDirectory())
        (port,) = free_ports(1)
        server = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        log = held.enter_context(open(f"{folder}/moto.log", "w"))
        held.enter_context(ended(subprocess.Popen(server, stdout=log, stderr=log)))
        url = f"http://127.0.0.1:{port}"
        s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **KEYS)

        def answers():
            try:
                return s3.list_buckets() is not None
            except Exception as error:
                raise OSError(str(error)) from error

        until("the store answers", answers)
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket)
        proxy = Proxy(port)
        region = Region(program, folder, proxy.port, held)
        create_table(region.endpoints[0], TABLE)
        history = History(region)
        history.write(0, ITEMS)
        recovery = {"PointInTimeRecoveryEnabled": True}
        request = {"TableName": TABLE, "PointInTimeRecoverySpecification": recovery}
        region.call("UpdateContinuousBackups", request)
        until("the archive has begun", lambda: region.latest() > 0)
        history.write(ITEMS // 2, ITEMS)
        for number in range(0, 40):
            history.delete(number)
        moment, expected = history.moment()
        history.write(0, ITEMS)
        comes_back(region, "restored", moment, expected, "a moment")
        backups(region, history)
        jobs(region, history)
        faults(region, history, proxy)
        damage(region, history, s3)
        print(f"{proxy.connections} connections to the store")
    print("1 passed, 0 failed")


main()
