"""The program under test, and a client that needs nothing but Python."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
import urllib.parse


class Failed(Exception):
    """An answer that is not 200."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


def call(endpoint, operation, body, timeout=10):
    """Calls an operation of the API; raises `Failed`, or `OSError` where no answer came."""
    host = urllib.parse.urlparse(endpoint).netloc
    connection = http.client.HTTPConnection(host, timeout=timeout)
    try:
        headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        connection.request("POST", "/", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise Failed(answer.status, text)
        return json.loads(text)
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def get(url):
    """The body of a page that answers 200."""
    parts = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise Failed(answer.status, body)
        return body
    finally:
        connection.close()


def until(what, holds, seconds=60):
    """Waits for a condition; one that fails to be told does not hold."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, Failed):
            if holds():
                return
        if time.monotonic() >= deadline:
            raise SystemExit(f"never, in {seconds} s: {what}")
        time.sleep(0.05)


class Running:
    """A process of the program that prints one line when it is ready."""

    def __init__(self, program, *words):
        self.started = time.monotonic()
        command = [program, *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()
        self.ready_ms = (time.monotonic() - self.started) * 1000
        if not self.line:
            raise SystemExit(f"{command} ended with {self.process.wait()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


def create_table(endpoint, name):
    """Makes a table with the partition key `id`, and waits until it is active."""
    table = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    call(endpoint, "CreateTable", table)

    def active():
        described = call(endpoint, "DescribeTable", {"TableName": name})
        return described["Table"]["TableStatus"] == "ACTIVE"

    until(f"{name} is active", active)


def put(endpoint, table, identity, timeout=10, size=100):
    """Puts an item."""
    item = {"id": {"S": identity}, "v": {"S": "x" * size}}
    call(endpoint, "PutItem", {"TableName": table, "Item": item}, timeout)


def has(endpoint, table, identity):
    """True when a strong read finds the item."""
    key = {"TableName": table, "Key": {"id": {"S": identity}}, "ConsistentRead": True}
    return "Item" in call(endpoint, "GetItem", key)


def cpu_seconds(pid):
    """Processor time that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid):
    """Resident memory of a process, MB."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
