"""The results of `./dev bench canary`: kept in one file, and written as a table into docs/canary.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).with_name("canary.json")
PAGE = ROOT / "docs" / "canary.md"
BEGIN, END = "<!-- ./dev bench canary --write -->\n", "<!-- end of simulation -->\n"
NAMES = {
    "healthy": "healthy",
    "2x": "errors 2×",
    "5x": "errors 5×",
    "10x": "errors 10×",
    "total": "outage",
    "later": "outage after 10 min",
}
HEAD = (
    "| spec | requests/s | release | promoted | held | aborted | median | 95th percentile | people told of a hold |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)
ABORTED_MAX = 0.02
ALWAYS = ("5x", "10x", "total", "later")
"""What is aborted in every run. Other bad releases may be held, and are never promoted."""


class Fate(Struct, frozen=True, kw_only=True):
    """How rollouts ended, and how many seconds the right end took: for healthy releases the promotion, else the abort.

    `held` rollouts still held at the end. In `told_of_hold` of all, people were told of a hold, at some time.
    """

    runs: int
    promoted: int
    held: int
    aborted: int
    told_of_hold: int
    median_s: float | None
    p95_s: float | None


class Row(Struct, frozen=True, kw_only=True):
    """One spec at one rate: what became of healthy releases, and of each kind of bad ones."""

    spec: str
    rate: float
    healthy: Fate
    bad: Mapping[str, Fate]


def holds(row: Row) -> bool:
    """Whether the aims are met: few healthy releases are aborted, no bad one is promoted, clearly bad ones abort."""
    always = all(row.bad[kind].aborted == row.bad[kind].runs for kind in ALWAYS)
    never = not any(one.promoted for one in row.bad.values())
    return always and never and row.healthy.aborted <= ABORTED_MAX * row.healthy.runs


def lines(row: Row) -> Iterator[str]:
    """The lines of the table for a row: one for each kind of release."""
    for name, found in {"healthy": row.healthy, **row.bad}.items():
        shares = (found.promoted, found.held, found.aborted)
        cells = [row.spec, f"{row.rate:g}", NAMES[name], *(_share(one, found.runs) for one in shares)]
        cells += [_time(found.median_s), _time(found.p95_s), _share(found.told_of_hold, found.runs)]
        yield f"| {' | '.join(cells)} |"


def _share(some: int, runs: int) -> str:
    return f"{some / runs:.1%}".replace(".0%", "%") if some else "–"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def stored() -> list[Row]:
    """The results as last measured."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=list[Row])


def write(rows: Sequence[Row]) -> None:
    """Store the results, and write the table anew."""
    RESULTS.write_text(json.dumps(msgspec.to_builtins(list(rows)), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(rows), encoding="utf-8")


def page(rows: Sequence[Row]) -> str:
    """The page with its table as the results give it. Raises ValueError for a page without its comments."""
    text = PAGE.read_text(encoding="utf-8")
    begin = text.index(BEGIN) + len(BEGIN)
    return text[:begin] + "".join(f"{one}\n" for one in _table(rows)) + text[text.index(END, begin) :]


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield from HEAD
    for row in rows:
        yield from lines(row)
