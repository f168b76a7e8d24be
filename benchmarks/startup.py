"""How long a command takes to start, in multiples of an empty Python (`python -E -s -c pass`).

Each run of a command is paired with one of the empty Python right beside it, so that a busy machine slows both; the
result is the median of the pairs' ratios. Aims: `--help` ≤ 3, `generate` on one SLO ≤ 5.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PAIRS = 40
RUN_DEADLINE_S = 60

EMPTY = (sys.executable, "-E", "-s", "-c", "pass")
FREEZELINE = str(Path(sys.executable).with_name("freezeline"))

ONE_SLO = """\
apiVersion: freezeline/v1
service: checkout
owner: {team: payments}
slos:
  availability:
    objective: 99.9
    sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
"""

LIST_MODULES = """
import contextlib, io, sys
before = set(sys.modules)
from freezeline.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["--help"])
print("\\n".join(sorted(set(sys.modules) - before)))
"""


def run_s(command: Sequence[str], environment: dict[str, str]) -> float:
    """Seconds of wall-clock time for one run. Raises CalledProcessError where the command fails."""
    begun = time.perf_counter()
    subprocess.run(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, timeout=RUN_DEADLINE_S
    )
    return time.perf_counter() - begun


def paired(command: Sequence[str], environment: dict[str, str], pairs: int) -> tuple[float, float, float]:
    """Median ratio of the pairs, and the medians of both in seconds."""
    empties: list[float] = []
    commands: list[float] = []
    run_s(command, environment)  # fill the caches: compiled files, the file system's
    for number in range(pairs):
        order = (EMPTY, command) if number % 2 else (command, EMPTY)
        for each in order:
            (empties if each is EMPTY else commands).append(run_s(each, environment))
    ratios = [whole / empty for whole, empty in zip(commands, empties, strict=True)]
    return statistics.median(ratios), statistics.median(commands), statistics.median(empties)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    pairs = parser.parse_args(arguments).pairs
    # Without promtool: another program's start is not ours.
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FREEZELINE_", "PYTHON"))}
    environment = kept | {"PATH": str(Path(sys.executable).parent)}
    with tempfile.TemporaryDirectory(prefix="freezeline-startup-") as folder:
        spec = Path(folder) / "checkout.yaml"
        spec.write_text(ONE_SLO)
        generate = (FREEZELINE, "generate", str(spec), "-o", str(Path(folder) / "out"))
        rows = [("freezeline --help", (FREEZELINE, "--help"), 3.0), ("freezeline generate (one SLO)", generate, 5.0)]
        print(f"median of {pairs} paired runs, against: python -E -s -c pass")
        for name, command, aim in rows:
            ratio, whole_s, empty_s = paired(command, environment, pairs)
            verdict = "met" if ratio <= aim else "MISSED"
            times = f"({whole_s * 1e3:.1f} ms / {empty_s * 1e3:.1f} ms)"
            print(f"{name:<31} {ratio:5.2f} ×  {times}  aim ≤ {aim:g}: {verdict}")
    listed = subprocess.run(
        [sys.executable, "-E", "-s", "-c", LIST_MODULES],
        capture_output=True,
        text=True,
        check=True,
        timeout=RUN_DEADLINE_S,
    )
    print("modules that --help imports beyond Python's own start:", ", ".join(listed.stdout.split()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
