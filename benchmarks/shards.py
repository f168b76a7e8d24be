"""What `generate` takes for 10,000 and 50,000 SLOs in shards.

Specs of ten SLOs lie in one folder. Each shard is a run of its own (`--shard I/N`), so memory depends on the shard's
size alone, and time grows with the number of shards. A few shards are measured, since all are alike; a shard of a
smaller set is measured too, because every run looks at the names of all specs.

    ./dev bench shards --slos 10000 50000

Exit code 1 where a shard of the largest set takes 1.5 × the time or memory of a shard of the smallest.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks.generate import SLOS_PER_FILE, write_specs
from benchmarks.paired import FREEZELINE, Ratio, ratio

SHARD_SLOS = 1250
GROWTH = 1.5


class Row(Struct, frozen=True, kw_only=True):
    """One size: how many shards, and what one of them takes."""

    slos: int
    shards: int
    found: Ratio


def measure(slos: int, runs: int) -> Row:
    """Generate the first shard of so many SLOs."""
    shards = max(1, slos // SHARD_SLOS)
    with tempfile.TemporaryDirectory(prefix="freezeline-shards-") as name:
        specs, output = Path(name, "specs"), Path(name, "out")
        write_specs(specs, slos, SLOS_PER_FILE)
        words = ("--only", "rules", "--scope", "all", "--shard", f"1/{shards}")
        command = (FREEZELINE, "generate", *words, str(specs), "-o", str(output))
        found = ratio(command, runs, before=lambda: shutil.rmtree(output, ignore_errors=True))
    return Row(slos=slos, shards=shards, found=found)


def show(row: Row) -> str:
    """A row for people."""
    each = row.found
    total = each.wall_s * row.shards
    return (
        f"{row.slos:>7} SLOs in {row.shards:>3} shards: {each.wall_s:6.2f} s, {each.cpu:6.1f} × cpu and "
        f"{each.peak_mib:4.0f} MiB a shard; {total:7.1f} s for all"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a shard grows with the whole."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--slos", type=int, nargs="+", default=[2500, 10_000, 50_000])
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args(arguments)
    rows = []
    for slos in sorted(args.slos):
        rows.append(measure(slos, args.runs))
        print(show(rows[-1]), flush=True)
    first, last = rows[0].found, rows[-1].found
    grows = last.cpu > GROWTH * first.cpu or last.peak_mib > GROWTH * first.peak_mib
    return 1 if grows else 0


if __name__ == "__main__":
    sys.exit(main())
