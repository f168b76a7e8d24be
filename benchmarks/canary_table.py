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
HEAD = (
    "| spec | requests/s | healthy, aborted | errors 2× | errors 5× | errors 10× | outage | outage after 10 min |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)
ABORTED_MAX = 0.02
ALWAYS = ("5x", "10x", "total", "later")
"""What is caught in every run."""


class Caught(Struct, frozen=True, kw_only=True):
    """How many bad rollouts were taken back, and how many seconds that took."""

    runs: int
    caught: int
    median_s: float | None
    p95_s: float | None


class Row(Struct, frozen=True, kw_only=True):
    """One spec at one rate. `aborted` of `runs` healthy rollouts were aborted."""

    spec: str
    rate: float
    runs: int
    aborted: int
    bad: Mapping[str, Caught]


def holds(row: Row) -> bool:
    """Whether the aims are met: few healthy releases are aborted, every clearly bad one is taken back."""
    always = all(row.bad[kind].caught == row.bad[kind].runs for kind in ALWAYS)
    return always and row.aborted <= ABORTED_MAX * row.runs


def line(row: Row) -> str:
    """A row of the table."""
    cells = [row.spec, f"{row.rate:g}", f"{row.aborted / row.runs:.1%}", *(_cell(one) for one in row.bad.values())]
    return f"| {' | '.join(cells)} |"


def _cell(found: Caught) -> str:
    if found.median_s is None or found.p95_s is None:
        return "never"
    share = "" if found.caught == found.runs else f"{found.caught / found.runs:.0%}: "
    return f"{share}{_time(found.median_s)} / {_time(found.p95_s)}"


def _time(seconds: float) -> str:
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
        yield line(row)
