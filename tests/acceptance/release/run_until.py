"""`freezeline canary run` that kills itself at a boundary: run_until.py "[BOUNDARY ]NTH" canary run POLICY ….

BOUNDARY is how a boundary's name begins, such as `stored:Shifted` or `set server`. Without BOUNDARY, all count.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from freezeline.commands import canary
from release.engine import process


class KillAt:
    """Counts passages of boundaries with a name, and kills this process at the n-th."""

    def __init__(self, boundary: str, nth: int) -> None:
        self.boundary = boundary
        self.left = nth

    def __call__(self, name: str) -> None:
        """The last passage is this process's last deed."""
        self.left -= name.startswith(self.boundary)
        if self.left == 0:
            print(f"killed at {name}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Run until the boundary, or to the end."""
    boundary, _, nth = argv[0].rpartition(" ")
    parser = argparse.ArgumentParser()
    canary.configure(parser)
    args = parser.parse_args(argv[2:])
    args.state = Path(args.state)
    ended = asyncio.run(process.run(canary.options_of(args), reached=KillAt(boundary, int(nth))))
    return 0 if ended.phase.value == "done" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
