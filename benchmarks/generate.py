"""How long `freezeline generate` takes for 1 to 5,000 SLOs, in multiples of an empty Python (`python -E -s -c pass`).

Whole commands, everything written anew: rules only, every emitted expression parsed. `cpu` adds up both processes that
share the parsing; a machine with one processor needs that much wall-clock time too. Aims, by wall clock on two
processors: 4.5, 9, 40 and 190 for one file and for many (ten SLOs each), and 250 MB for 5,000.
`python -m benchmarks.generate`; exit code 1 where an aim is missed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paired import FREEZELINE, Ratio, ratio

AIMS = {1: 4.5, 100: 9.0, 1000: 40.0, 5000: 190.0}
AIM_MIB = 250 * 1000 * 1000 / 1024 / 1024
RUNS = {1: 30, 100: 15, 1000: 5, 5000: 3}
SLOS_PER_FILE = 10  # of the many files: a service has about ten

HEAD = """\
apiVersion: freezeline/v1
service: {service}
owner: {{team: payments}}
slos:
"""
SLO = """\
  {name}:
    objective: 99.9
    sli: {{bad: 'http_requests_total{{job="{name}",code=~"5.."}}', total: 'http_requests_total{{job="{name}"}}'}}
"""


def write_specs(folder: Path, slos: int, per_file: int) -> None:
    """Write so many SLOs as specs of so many each."""
    folder.mkdir(parents=True)
    for begin in range(0, slos, per_file):
        service = f"service-{begin:04d}"
        parts = [SLO.format(name=f"slo-{number:04d}") for number in range(begin, min(begin + per_file, slos))]
        (folder / f"{service}.yaml").write_text(HEAD.format(service=service) + "".join(parts), encoding="utf-8")


def measure(slos: int, per_file: int, extra: Sequence[str]) -> Ratio:
    """`generate` of specs that it has not seen into a folder that does not exist."""
    with tempfile.TemporaryDirectory(prefix="freezeline-generate-") as name:
        specs, output = Path(name, "specs"), Path(name, "out")
        write_specs(specs, slos, per_file)
        command = (FREEZELINE, "generate", *extra, str(specs), "-o", str(output))
        return ratio(command, RUNS[slos], before=lambda: shutil.rmtree(output, ignore_errors=True))


def show(what: str, found: Ratio, verdict: str) -> None:
    """One line of the table."""
    times = f"{found.wall_s * 1e3:7.0f} ms / {found.empty_s * 1e3:.0f} ms"
    print(f"{what:<34} {found.wall:6.1f} × wall  {found.cpu:6.1f} × cpu  {found.peak_mib:5.0f} MiB  {times}  {verdict}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slos", type=int, nargs="+", choices=sorted(AIMS), default=sorted(AIMS))
    sizes = parser.parse_args(arguments).slos
    missed = 0
    for slos in sizes:
        for per_file, shape in ((slos, "one file"), (SLOS_PER_FILE, "files of ten"), (1, "files of one")):
            if shape != "one file" and slos == 1:
                continue
            found = measure(slos, per_file, ("--only", "rules"))
            verdict = "(no aim)"
            if shape != "files of one":
                met = found.wall <= AIMS[slos] and found.peak_mib <= AIM_MIB
                missed += not met
                verdict = f"aim ≤ {AIMS[slos]:g}: {'met' if met else 'MISSED'}"
            show(f"rules of {slos} SLOs, {shape}", found, verdict)
    for slos in (size for size in sizes if size <= 100):
        show(f"all artefacts of {slos} SLOs, one file", measure(slos, slos, ()), "(no aim here)")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
