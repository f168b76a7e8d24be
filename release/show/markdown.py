"""The short report of a rollout in Markdown, for `$GITHUB_STEP_SUMMARY` and for chats.

A rollout has thousands of measurements, so Markdown counts the verdicts of each stage and shows the last measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

from receiver.rollout_report import Counted
from release.canary.verdict import Verdict
from release.gate.formats import cell
from release.show.report import Record, counted
from release.show.status import line, moment

HEAD = ("stage", "gate", *(one.value for one in Verdict), "last value", "bound", "why")


def as_markdown(record: Record) -> str:
    """Headings and tables. Names of others are text there, never markup."""
    lines = [f"## Rollout of {cell(record.service)} {cell(record.rollout.release)}", "", cell(line(record.rollout)), ""]
    if record.broken is not None:
        lines += [f"**The record is damaged from step {record.broken} on.**", ""]
    lines += ["### What was measured", "", *_table([HEAD, *map(_gate, counted(record.looks))]), ""]
    steps = [(moment(one.at), one.event, one.phase, str(one.stage + 1)) for one in record.steps]
    lines += ["### What happened", "", *_table([("time", "event", "phase", "stage"), *steps])]
    for one in record.experiments:
        lines += ["", f"### A/B test of stage {one.stage + 1}", "", cell(one.said), "", *_table(one.table)]
    return "\n".join(lines) + "\n"


def _gate(one: Counted) -> tuple[str, ...]:
    said = (one.passed, one.breached, one.inconclusive)
    return str(one.stage), one.gate, *(str(number) for number in said), one.value, one.bound, one.why


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [f"| {' | '.join(cell(one) for one in row)} |" for row in rows]
    return [head, f"|{' --- |' * len(rows[0])}", *body]
