"""How long `freezeline generate` takes for 1 to 5,000 SLOs, in multiples of an empty Python (`python -E -s -c pass`).

Whole commands, everything written anew: rules only, every emitted expression parsed. Beside each row stands Sloth on
one file of as many SLOs. Aims are for processor time (`cpu`), because a busy machine stretches the clock's time more.
Two processes once took 8.8 at 100 SLOs, 38.4 at 1,000 and 172 at 5,000, together and in one file; in files of ten 9.1,
44.5 and 217. The aims are 5 % above. Memory stays below 160 MiB. Specs and outputs lie in memory, where the system has
a place for that.
`python -m benchmarks.generate`; exit code 1 where an aim is missed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import sloth
from benchmarks.paired import FREEZELINE, Ratio, in_memory, ratio

# Number of SLOs → most multiples of an empty Python: in one file, in files of ten.
AIMS = {100: (9.3, 9.6), 1000: (40.3, 46.7), 5000: (181.0, 228.0)}
AIM_MIB = 160.0
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


def measure(slos: int, per_file: int, extra: Sequence[str] = (), runs: int | None = None) -> Ratio:
    """`generate` of specs that it has not seen into a folder that does not exist."""
    with in_memory("freezeline-generate-") as name:
        specs, output = Path(name, "specs"), Path(name, "out")
        write_specs(specs, slos, per_file)
        command = (FREEZELINE, "generate", *extra, str(specs), "-o", str(output))
        return ratio(command, runs or RUNS[slos], before=lambda: shutil.rmtree(output, ignore_errors=True))


def verdict(slos: int, per_file: int, found: Ratio) -> str:
    """Whether the row meets its aim; a file for each SLO, and a single SLO, have none here."""
    if per_file == 1:
        return "no aim here"
    aim = AIMS[slos][per_file == SLOS_PER_FILE]
    met = found.cpu <= aim and found.peak_mib <= AIM_MIB
    return f"aim ≤ {aim:g} × cpu, {AIM_MIB:g} MiB: {'met' if met else 'MISSED'}"


def show(what: str, found: Ratio, judged: str, beside: str) -> None:
    """One row of the table, and below it Sloth's."""
    times = f"{found.wall_s * 1e3:7.0f} ms / {found.empty_s * 1e3:.0f} ms"
    print(f"{what:<34} {found.wall:6.1f} × wall  {found.cpu:6.1f} × cpu  {found.peak_mib:5.0f} MiB  {times}  {judged}")
    print(f"{'':<34} {beside}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slos", type=int, nargs="+", choices=sorted(RUNS), default=sorted(RUNS))
    sizes = parser.parse_args(arguments).slos
    rival = sloth.find()
    judged: list[str] = []
    for slos in sizes:
        its = rival.measure(slos, RUNS[slos])
        for per_file, shape in ((slos, "one file"), (SLOS_PER_FILE, "files of ten"), (1, "files of one")):
            if shape != "one file" and slos == 1:
                continue
            found = measure(slos, per_file, ("--only", "rules"))
            judged.append(verdict(slos, per_file, found))
            show(f"rules of {slos} SLOs, {shape}", found, judged[-1], rival.beside(found, its))
        if slos <= 100:
            found = measure(slos, slos)
            show(f"all artefacts of {slos} SLOs, one file", found, "no aim here", rival.beside(found, its))
    return 1 if any("MISSED" in each for each in judged) else 0


if __name__ == "__main__":
    sys.exit(main())
