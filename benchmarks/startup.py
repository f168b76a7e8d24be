"""How long a command takes to start, in multiples of an empty Python (`python -E -s -c pass`).

Each run of a command stands between two of the empty Python, so that a busy machine slows all; the result is the median
of the ratios. Aims, for processor time: `--help` ≤ 5; `generate` of one SLO ≤ 7.5 for its rules, ≤ 9 for all artefacts.
Importing msgspec, PyYAML and the PromQL parser takes more than 5 of them. Beside `generate` stands Sloth. Exit code 1
where an aim is missed.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from benchmarks import generate, sloth
from benchmarks.paired import FREEZELINE, Ratio, ratio

PAIRS = 40
LIST_DEADLINE_S = 60
LIBRARIES = "import msgspec, promql_parser, yaml"

LIST_MODULES = """
import contextlib, io, sys
before = set(sys.modules)
from freezeline.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["--help"])
print("\\n".join(sorted(set(sys.modules) - before)))
"""


def show(name: str, found: Ratio, aim: float | None) -> bool:
    """One row of the table; whether it misses its aim."""
    times = f"({found.wall_s * 1e3:.1f} ms / {found.empty_s * 1e3:.1f} ms)"
    missed = aim is not None and found.cpu > aim
    verdict = "no aim" if aim is None else f"aim ≤ {aim:g} × cpu: {'MISSED' if missed else 'met'}"
    print(f"{name:<36} {found.wall:5.2f} × wall {found.cpu:5.2f} × cpu  {times}  {verdict}", flush=True)
    return missed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    pairs = parser.parse_args(arguments).pairs
    print(f"median of {pairs} runs, each against `python -E -s -c pass` before and after it")
    show("the libraries alone", ratio((sys.executable, "-E", "-s", "-c", LIBRARIES), pairs), None)
    missed = show("freezeline --help", ratio((FREEZELINE, "--help"), pairs), 5.0)
    rival = sloth.find()
    its = rival.measure(1, pairs)
    for what, extra, aim in (("rules of one SLO", ("--only", "rules"), 7.5), ("all artefacts of one SLO", (), 9.0)):
        found = generate.measure(1, 1, extra, pairs)
        missed |= show(f"freezeline generate, {what}", found, aim)
        print(f"{'':<36} {rival.beside(found, its)}")
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
