"""How long a command takes to start, in multiples of an empty Python (`python -E -s -c pass`).

Each run of a command stands between two of the empty Python, so that a busy machine slows all; the result is the median
of the ratios. Aims: `--help` ≤ 3, `generate` of all artefacts of one SLO ≤ 5. Exit code 1 where an aim is missed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paired import FREEZELINE, ratio

PAIRS = 40
LIST_DEADLINE_S = 60

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    pairs = parser.parse_args(arguments).pairs
    missed = 0
    with tempfile.TemporaryDirectory(prefix="freezeline-startup-") as folder:
        spec, output = Path(folder, "checkout.yaml"), Path(folder, "out")
        spec.write_text(ONE_SLO)
        generate = (FREEZELINE, "generate", str(spec), "-o", str(output))
        rows = (("freezeline --help", (FREEZELINE, "--help"), 3.0), ("freezeline generate (one SLO)", generate, 5.0))
        print(f"median of {pairs} runs, each against `python -E -s -c pass` before and after it")
        for name, command, aim in rows:
            found = ratio(command, pairs, before=lambda: shutil.rmtree(output, ignore_errors=True))
            missed += found.wall > aim
            times = f"({found.wall_s * 1e3:.1f} ms / {found.empty_s * 1e3:.1f} ms)"
            verdict = "met" if found.wall <= aim else "MISSED"
            print(f"{name:<31} {found.wall:5.2f} × wall {found.cpu:5.2f} × cpu  {times}  aim ≤ {aim:g}: {verdict}")
    listed = subprocess.run(
        [sys.executable, "-E", "-s", "-c", LIST_MODULES],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIST_DEADLINE_S,
    )
    print("modules that --help imports beyond Python's own start:", ", ".join(listed.stdout.split()))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
