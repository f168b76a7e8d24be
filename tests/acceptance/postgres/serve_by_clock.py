"""`freezeline serve` on a machine whose clock is wrong: serve_by_clock.py CLOCK_FILE POLICY STATE CONFIG.

CLOCK_FILE says by how many seconds the clock is ahead. Whoever changes the file sets the clock.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from receiver.serve import Options, serve


def main(argv: list[str]) -> int:
    """Serve on a free port of loopback."""
    clock, policy, state, config = map(Path, argv)
    options = Options(policy_dir=policy, state_dir=state, config=config, host="127.0.0.1", port=0)
    return serve(options, os.environ, clock=lambda: datetime.now(UTC) + timedelta(seconds=float(clock.read_text())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
