"""`freezeline canary run` that kills itself at its n-th boundary: run_until.py NTH canary run POLICY …."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from freezeline.commands import canary
from release.engine import process


class KillAt:
    """Counts boundaries, and kills this process at the n-th."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self, _name: str) -> None:
        """The last passage is this process's last deed."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Run until the boundary, or to the end."""
    parser = argparse.ArgumentParser()
    canary.configure(parser)
    args = parser.parse_args(argv[2:])
    args.state = Path(args.state)
    ended = asyncio.run(process.run(canary.options_of(args), reached=KillAt(int(argv[0]))))
    return 0 if ended.phase.value == "done" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
