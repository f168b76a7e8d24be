"""The report of a rollout: every measurement with all that explains it, and the A/B tests.

`release.show.markdown` has the short form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import jinja2
import markupsafe
import msgspec
from msgspec import Struct

from freezeline.problems import printable
from receiver.figures import figure
from receiver.rollout_report import Counted
from receiver.sources.fill import filled
from release.ab.kept import Point
from release.canary.verdict import Measured, Verdict
from release.policy.canary import Canary, CanaryGate
from release.show.status import line, moment, timeline
from release.store.database import Look, Rollout, Step

QUERIES = ("bad", "total", "observed", "buckets", "above", "query", "samples")
"""Members of a gate that are queries, in the order in which people read them."""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Rollout of {{ service }} {{ release }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #bbb; padding: .4rem; text-align: left; }
td { vertical-align: top; overflow-wrap: anywhere; }
code { display: block; }
svg { height: auto; max-width: 100%; }
</style>
</head>
<body>
<h1>Rollout of {{ service }} {{ release }}</h1>
<p>{{ summary }}</p>
{% if broken is not none %}<p><strong>The record is damaged from step {{ broken }} on.</strong></p>
{% endif %}<h2>What was asked</h2>
<table>
<thead><tr><th>gate</th><th>queries</th><th>window</th></tr></thead>
<tbody>
{% for gate in gates %}<tr><td>{{ gate.gate }}</td><td>{% for name, query in gate.queries.items() %}\
<code>{{ name }}: {{ query }}</code>{% else %}sent by another program{% endfor %}</td>\
<td>{% if gate.window_s %}{{ "%g" | format(gate.window_s) }} s{% endif %}</td></tr>
{% endfor %}</tbody>
</table>
<h2>What was measured</h2>
<table>
<thead><tr><th>time</th><th>stage</th><th>gate</th><th>value</th><th>bound</th><th>samples</th><th>verdict</th>\
<th>why</th></tr></thead>
<tbody>
{% for one in measured %}<tr><td>{{ one.at }}</td><td>{{ one.stage }}</td><td>{{ one.gate }}</td>\
<td>{{ one.value }}</td><td>{{ one.bound }}</td><td>{{ one.samples }}</td><td>{{ one.verdict }}</td>\
<td>{{ one.why }}</td></tr>
{% endfor %}</tbody>
</table>
<h2>What happened</h2>
<pre>{{ timeline }}</pre>
{% for one in experiments %}<h2>Stage {{ one.stage + 1 }}</h2>
{{ one.html }}{% endfor %}</body>
</html>
"""


class Experiment(Struct, frozen=True, kw_only=True):
    """The A/B test of one stage, ready to be shown. `html` is safe to stand in a page, `table` begins with its head."""

    stage: int
    text: str
    said: str
    table: tuple[tuple[str, ...], ...]
    values: Mapping[str, Any]
    html: markupsafe.Markup
    points: tuple[Point, ...]


class Record(Struct, frozen=True, kw_only=True):
    """Everything that is known of a rollout. `broken` is the first damaged step; None if the record is whole."""

    service: str
    rollout: Rollout
    canary: Canary
    looks: tuple[Look, ...]
    steps: tuple[Step, ...]
    broken: int | None
    experiments: tuple[Experiment, ...]


def gates(record: Record) -> list[dict[str, Any]]:
    """What each gate asked about the new release, with the releases' names in it, and over which window."""
    return [
        {"gate": gate.id, "queries": _queries(gate, record), "window_s": gate.over_s} for gate in record.canary.gates
    ]


def measurements(record: Record) -> list[dict[str, Any]]:
    """Every measurement, in order, with all that explains its verdict."""
    asked = {one["gate"]: one for one in gates(record)}
    return [
        {
            "at": moment(look.at),
            "stage": look.stage + 1,
            **asked.get(one.gate, {"gate": one.gate, "queries": {}, "window_s": 0.0}),
            "value": one.value,
            "bound": one.bound,
            "samples": one.samples,
            "verdict": one.verdict.value,
            "why": one.why,
            "unit": one.unit,
        }
        for look in record.looks
        for one in look.tick.measured
    ]


def counted(looks: Iterable[Look]) -> list[Counted]:
    """How often each gate of each stage said what, in the order of the first measurements."""
    said: dict[tuple[int, str], Counter[Verdict]] = {}
    last: dict[tuple[int, str], Measured] = {}
    for look in looks:
        for one in look.tick.measured:
            said.setdefault((look.stage, one.gate), Counter())[one.verdict] += 1
            last[look.stage, one.gate] = one
    return [
        Counted(
            stage=stage + 1,
            gate=gate,
            passed=number[Verdict.PASS],
            breached=number[Verdict.BREACH],
            inconclusive=number[Verdict.INCONCLUSIVE],
            value=known(last[stage, gate].value, last[stage, gate].unit),
            bound=known(last[stage, gate].bound, last[stage, gate].unit),
            why=last[stage, gate].why,
        )
        for (stage, gate), number in said.items()
    ]


def as_values(record: Record) -> dict[str, Any]:
    """For programs: what was measured and tested. Values and bounds are decimals, as texts."""
    return {
        "measurements": msgspec.to_builtins(measurements(record)),
        "ab": [{"stage": one.stage + 1, **one.values} for one in record.experiments],
        "broken_step": record.broken,
    }


def as_text(record: Record) -> list[str]:
    """For a terminal: the gates' queries, each measurement in one line, what happened, and the A/B tests."""
    lines = []
    for gate in gates(record):
        window = f" over {gate['window_s']:g} s" if gate["window_s"] else ""
        lines.append(f"  gate {gate['gate']}{window}")
        lines += [f"    {name}: {printable(query)}" for name, query in gate["queries"].items()]
    lines += [_line(one) for one in measurements(record)]
    if record.broken is not None:
        lines.append(f"  the record is damaged from step {record.broken} on")
    lines += timeline(record.steps)
    for one in record.experiments:
        lines.append(f"stage {one.stage + 1}")
        lines += [printable(text) for text in one.text.splitlines()]
    return lines


def as_html(record: Record) -> str:
    """For people: one page that needs no network. Names of others are text there, never markup."""
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(PAGE)
    return page.render(
        service=record.service,
        release=record.rollout.state.release,
        summary=line(record.rollout),
        broken=record.broken,
        gates=gates(record),
        measured=[_cells(one) for one in measurements(record)],
        timeline="\n".join(timeline(record.steps)),
        experiments=record.experiments,
    )


def _queries(gate: CanaryGate, record: Record) -> dict[str, str]:
    """The queries by their names in the policy. `$bound` stays: the bound stands beside each measurement."""
    tracks, state = record.canary.tracks, record.rollout.state
    canary, stable = (tracks.canary, tracks.stable) if tracks else (state.release, state.stable)
    members = msgspec.structs.asdict(gate)
    return {name: filled(members[name], canary=canary, stable=stable) for name in QUERIES if members.get(name)}


def _line(one: Mapping[str, Any]) -> str:
    value = short(one, "value") or "no data"
    bound = "" if one["bound"] is None else f", bound {short(one, 'bound')}"
    samples = "" if one["samples"] is None else f", samples {one['samples']}"
    why = f", {printable(one['why'])}" if one["why"] else ""
    return f"  {one['at']}  stage {one['stage']}  {one['gate']}: {one['verdict']}: {value}{bound}{samples}{why}"


def _cells(one: Mapping[str, Any]) -> dict[str, Any]:
    """A measurement for people: numbers with their unit, and nothing where nothing is known."""
    known = {key: "" if value is None else value for key, value in one.items()}
    return {**known, "value": short(one, "value"), "bound": short(one, "bound")}


def short(one: Mapping[str, Any], name: str) -> str:
    """The value or the bound of a measurement as people read them; nothing where nothing is known."""
    return known(one[name], one["unit"])


def known(value: Decimal | None, unit: str) -> str:
    """A number as people read it; nothing where nothing is known."""
    return "" if value is None else figure(value, unit)
