"""`freezeline serve` that kills itself at a named step: serve_until.py STEP NTH ARMED_FILE POLICY STATE CONFIG.

Nothing is counted before ARMED_FILE exists. STEP "-" never kills, and instead appends each step passed to
ARMED_FILE + ".steps".
"""

import os
import signal
import sys
import threading
from pathlib import Path

from receiver.serve import Options, serve
from receiver.steps import Step


class KillAt:
    """Counts passages of one step from the moment when the file is there, and kills at the nth."""

    def __init__(self, step: str, nth: int, armed: Path) -> None:
        self.step = step
        self.left = nth
        self.armed = armed
        self.lock = threading.Lock()

    def __call__(self, step: Step) -> None:
        """Count a passage; the last one is this process's last deed."""
        if not self.armed.exists():
            return
        with self.lock:
            if self.step == "-":
                with self.armed.with_suffix(".steps").open("a") as file:
                    file.write(f"{step.value}\n")
            elif step.value == self.step:
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Serve on a free port of loopback."""
    step, nth, armed, policy, state, config = argv
    options = Options(policy_dir=Path(policy), state_dir=Path(state), config=Path(config), host="127.0.0.1", port=0)
    return serve(options, os.environ, reached=KillAt(step, int(nth), Path(armed)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
