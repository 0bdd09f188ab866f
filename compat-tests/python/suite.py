"""Runs named cases and says of each how it went; the test that started the program reads it (src/suite.rs)."""

import sys
import time
import traceback
from collections import namedtuple

# How long anything may take before a case fails, in seconds.
DEADLINE = 120

Record = namedtuple("Record", "partition offset value")


class Failure(Exception):
    """What ends a case."""


def check(holds, what):
    if not holds:
        raise Failure(what)


def same(expected, found, what):
    check(expected == found, f"{what}: expected {expected!r}, found {found!r}")


def eventually(what, condition):
    """Polls until the condition holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        check(time.monotonic() < end, f"never: {what}")
        time.sleep(0.01)


def fails(what, action):
    """The action must be refused, by whatever exception the library has for it."""
    try:
        action()
    except Exception:
        return
    raise Failure(f"not refused: {what}")


def run(name, body):
    try:
        body()
    except Exception as reason:
        traceback.print_exc()
        print(f"{name} FAILED {reason!r}".replace("\n", " "), flush=True)
        return False
    print(f"{name} ok", flush=True)
    return True


def broker(order):
    """Has the test stop the broker ("kill" or "restart") and returns when it is back."""
    print(f"broker {order}", flush=True)
    check(sys.stdin.readline(), "no answer from the test")
