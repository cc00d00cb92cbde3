"""What the journeys in Python have in common."""

import time

CONVERGENCE_SECONDS = 20


def until(what, holds, seconds=CONVERGENCE_SECONDS):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.1)


def refused(client, name, call):
    """The error of a call that has to end with it."""
    try:
        call()
    except getattr(client.exceptions, name) as error:
        return error
    raise AssertionError(f"{name} was expected")
