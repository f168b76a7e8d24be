"""Orders and directories for tests of runs."""

import os
import sys
import uuid
from pathlib import Path
from typing import Any

from receiver.run.rundir import Order

PLAIN_ENVIRONMENT = {"PATH": os.environ["PATH"]}


def order(*argv: str, **changes: Any) -> Order:
    """An order that runs `argv` in `/` with five seconds' time, and one to stop in."""
    usual = {
        "argv": argv,
        "cwd": "/",
        "env": PLAIN_ENVIRONMENT,
        "timeout_s": 5.0,
        "grace_s": 1.0,
        "output_max_bytes": 4096,
        "nonce": uuid.uuid4().hex,
    }
    return Order(**{**usual, **changes})


def shell(script: str, **changes: Any) -> Order:
    """An order that runs a shell script."""
    return order("/bin/sh", "-c", script, **changes)


def python(script: str, *arguments: object, **changes: Any) -> Order:
    """An order that runs a Python script."""
    return order(sys.executable, "-c", script, *map(str, arguments), **changes)


def started(path: Path) -> int:
    """How often a command that appends a line to `path` was started."""
    return len(path.read_text().splitlines()) if path.exists() else 0
