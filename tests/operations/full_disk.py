"""A disk that fills up: `dev` refuses writes with a retryable error, reads on, and resumes by itself
when there is room; in a region of three nodes the one on the full disk hands over its leaderships.

Usage: full_disk.py PROGRAM
Needs root, for a small file system in memory; says so and ends where it cannot be mounted.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from meridian import Failed, Running, call, create_table, has, put, until

PORT = 19600
TABLE = "notes"
SIZE_MB = 700
# Leaves less than the 256 MiB that must be free.
BALLAST_MB = 480


@contextlib.contextmanager
def small_disk(folder):
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "meridian", folder]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        print("skipped: no file system can be mounted here")
        sys.exit(0)
    try:
        yield f"{folder}/ballast"
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(ballast):
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, BALLAST_MB * 1024 * 1024)


def refused(endpoint, identity):
    """The refusal of a put, or none."""
    try:
        put(endpoint, TABLE, identity)
        return None
    except Failed as error:
        return error


def alone(program, folder):
    with small_disk(folder) as ballast:
        words = ["--listen", "127.0.0.1:0", "--data-dir", f"{folder}/data"]
        with Running(program, "dev", *words) as dev:
            endpoint = dev.line.split()[1]
            create_table(endpoint, TABLE)
            put(endpoint, TABLE, "before")
            fill(ballast)
            until("writes are refused", lambda: refused(endpoint, "filling"), 20)
            error = refused(endpoint, "refused")
            assert error.status == 503 and "short of disk" in error.body, error
            for _ in range(20):
                assert refused(endpoint, "refused") and has(endpoint, TABLE, "before")
            assert not has(endpoint, TABLE, "refused")
            os.remove(ballast)
            until("writes are taken again", lambda: refused(endpoint, "after") is None, 20)
            print("dev: refuses below the limit, reads on, resumes by itself")


def region(program, folder, disk):
    words = ["--base-port", PORT, "--regions", "r", "--data-dir", folder, "--output", "json"]
    with Running(program, "playground", *words) as playground:
        cluster = json.loads(playground.line)
        create_table(cluster["regions"][0]["endpoints"][0], TABLE)
    second = cluster["regions"][0]["nodes"][1]
    with small_disk(disk) as ballast:
        shutil.move(second["data_dir"], f"{disk}/data")
        os.symlink(f"{disk}/data", second["data_dir"])
        with Running(program, "playground", *words) as playground:
            cluster = json.loads(playground.line)
            endpoints = cluster["regions"][0]["endpoints"]
            status = [program, "admin", "status", "--output", "json"]
            status += ["--cluster", f"{folder}/cluster.json"]

            def leaders():
                told = subprocess.run(status, text=True, capture_output=True, check=True)
                return [partition["leader"] for partition in json.loads(told.stdout)["partitions"]]

            until("it leads something", lambda: second["id"] in leaders(), 30)
            fill(ballast)
            failures = writes = 0
            deadline = time.monotonic() + 30
            while second["id"] in leaders() or None in leaders():
                assert time.monotonic() < deadline, "it goes on leading"
                for endpoint in endpoints:
                    writes += 1
                    failures += refused(endpoint, str(writes)) is not None
            for number in range(60):
                put(endpoints[number % 3], TABLE, f"k{number}")
            assert second["id"] not in leaders()
            assert all(has(endpoints[1], TABLE, f"k{number}") for number in range(60))
            print(f"region: leaderships left the full disk; {failures} of {writes} writes refused")
            os.remove(ballast)


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as disk:
        alone(program, disk)
        region(program, folder, disk)
    print("1 passed, 0 failed")


main()
