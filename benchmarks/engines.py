"""The generated rules in Prometheus and in four other engines, through one incident at the same time.

Each engine has the same 30 days and the same scrapes. For 90 s every request fails. The table shows how far the ratio
over 30 days is from the truth, how much later than in Prometheus each alert fires, and how many samples the engine says
its queries read. The incident takes about twelve minutes; Go builds an engine at its first run.

    ./dev bench engines --engine victoriametrics --engine thanos --write

Exit code 1 where a ratio is off by more than 0.1 %, or an alert by more than one evaluation of each group on its way.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct, structs

from tests.engines import story
from tests.tools import generations

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).with_name("engines.json")
PAGE = ROOT / "docs" / "engines.md"
BEGIN, END = "<!-- ./dev bench engines --write -->\n", "<!-- end of engines -->\n"
SAME = 0.001
HEAD = (
    (
        "| engine | error of the 30-day ratio | fast burn | `for: 15s` | 2 breaches in a row | 50 % of the budget "
        "| samples a minute | limits |"
    ),
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)
LIMITS = {
    "prometheus": "none: range functions stream one series at a time, so `--query.max-samples` is far away",
    "victoriametrics": "no native histograms; `-search.maxQueryDuration` is far away",
    "thanos": "`--tsdb.retention` of the ruler must exceed the SLO window; a store that is away fails the evaluation",
    "cortex": "each tenant's limits on long queries and on rules in a group must exceed the SLO window and the groups",
    "mimir": "at most 70 groups of 20 rules; `-ruler.evaluation-delay-duration` was 0 here, and is 1 min as shipped",
}


class Row(Struct, frozen=True, kw_only=True):
    """One engine: relative errors, and seconds after Prometheus fired the same alert."""

    engine: str
    error: float
    against_prometheus: float
    late_s: dict[str, float]
    samples_per_minute: float


def rows_of(seen: Sequence[story.Seen]) -> list[Row]:
    """What was seen, beside Prometheus, which comes first."""
    prometheus = seen[0]
    return [
        Row(
            engine=each.engine,
            error=each.error,
            against_prometheus=each.ratio / prometheus.ratio - 1,
            late_s={alert: round(each.fired[alert] - prometheus.fired[alert], 1) for alert in story.ALERTS},
            samples_per_minute=round(each.samples_per_minute),
        )
        for each in seen
    ]


def table(rows: Sequence[Row]) -> list[str]:
    """The table of the documentation."""
    return [*HEAD, *(_line(row) for row in rows)]


def _line(row: Row) -> str:
    reference = row.engine == "prometheus"
    late = ["reference" if reference else f"{seconds:+.0f} s" for seconds in row.late_s.values()]
    measured = [row.engine, f"{row.error:+.3%}".replace("%", " %"), *late, f"{row.samples_per_minute:,.0f}"]
    cells = [*measured, LIMITS[row.engine]]
    return f"| {' | '.join(cells)} |"


def stored() -> list[Row]:
    """The rows as last measured."""
    found: list[dict[str, object]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return [Row(**row) for row in found]  # type: ignore[arg-type]  # as `write` wrote them


def document(rows: Sequence[Row]) -> str:
    """The page with its table. Raises ValueError for a page without the comments."""
    text = PAGE.read_text(encoding="utf-8")
    begin = text.index(BEGIN) + len(BEGIN)
    return text[:begin] + "\n".join(table(rows)) + "\n" + text[text.index(END, begin) :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the incident, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", action="append", choices=story.ENGINES, help="beside Prometheus; may be repeated")
    parser.add_argument("--write", action="store_true", help="store the results, and write them into docs/engines.md")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="freezeline-engines-") as folder:
        seen = story.tell(generations()[-1], Path(folder), args.engine or story.ENGINES)
    rows = rows_of(seen)
    print("\n".join(table(rows)))
    for each in seen:
        print(each)
    if args.write:
        RESULTS.write_text(json.dumps([structs.asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(document(rows), encoding="utf-8")
    return 0 if all(map(agrees, rows)) else 1


def agrees(row: Row) -> bool:
    """Whether an engine has the same ratio, and its alerts no further apart than evaluations are."""
    right = abs(row.error) < SAME and abs(row.against_prometheus) < SAME
    return right and not any(story.far_apart(alert, row.engine, late) for alert, late in row.late_s.items())


if __name__ == "__main__":
    raise SystemExit(main())
