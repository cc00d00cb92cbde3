"""How soon `dev` serves and what it needs at rest; the same of a playground of nine nodes.

Usage: start.py PROGRAM
Fails above 200 ms and 40 MB, and above 10 s and 15 % of one core.
"""

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time

from meridian import Running, call, cpu_seconds, resident_mb

PORT = 19400
REST_SECONDS = 30


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def first_request_ms(program, folder, port):
    """From the start of the process to the first answered request."""
    began = time.monotonic()
    words = ["dev", "--listen", f"127.0.0.1:{port}", "--data-dir", folder]
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                call(f"http://127.0.0.1:{port}", "ListTables", {}, timeout=1)
                return (time.monotonic() - began) * 1000
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)
    finally:
        process.terminate()
        process.wait()


def main():
    program = sys.argv[1]
    failed = []

    def check(what, value, limit, unit):
        print(f"{what}: {value:.1f} {unit}, at most {limit}")
        if value > limit:
            failed.append(what)

    with tempfile.TemporaryDirectory() as folder:
        new = first_request_ms(program, f"{folder}/dev", free_port())
        check("dev, first request, new data", new, 200, "ms")
        again = first_request_ms(program, f"{folder}/dev", free_port())
        check("dev, first request, existing data", again, 200, "ms")
        with Running(program, "dev", "--listen", "127.0.0.1:0", "--data-dir", f"{folder}/dev") as dev:
            time.sleep(5)
            check("dev, at rest", resident_mb(dev.process.pid), 40, "MB")
        words = ["--base-port", PORT, "--data-dir", f"{folder}/play", "--output", "json"]
        with Running(program, "playground", *words) as playground:
            check("playground, ready", playground.ready_ms / 1000, 10, "s")
            cluster = json.loads(playground.line)
            nodes = [node["pid"] for region in cluster["regions"] for node in region["nodes"]]
            pids = [playground.process.pid, *nodes]
            time.sleep(3)
            before = sum(map(cpu_seconds, pids))
            time.sleep(REST_SECONDS)
            used = sum(map(cpu_seconds, pids)) - before
            check("playground, at rest", 100 * used / REST_SECONDS, 15, "% of one core")
    if failed:
        raise SystemExit(f"over the limit: {', '.join(failed)}")
    print("1 passed, 0 failed")


main()
