"""`freezeline cost`: rules, series and samples read per minute, beside the rules of Sloth and Pyrra."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from freezeline import headers
from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import specs
from freezeline.terminal import progress
from generator.checks import live
from generator.checks.live import Prometheus
from generator.model.spec import OutputSet
from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.reports import cost, cost_rivals
from generator.reports.cost import Assumptions, RuleCost, Total, raw_selectors, selector_text, spread, totals
from generator.reports.cost_rivals import compared

_OF_SELECTOR = re.compile(r"(?P<selector>.*\S)\s*=\s*(?P<series>\d+)")
_WIDTH = 44


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Count the rules, recorded series and samples per minute of specs. For comparison, show what the rules of "
        "Sloth and Pyrra would read."
    )
    parser.epilog = "Example: freezeline cost slos/ --series 40"
    specs.add_argument(parser)
    specs.add_scope(parser)
    parser.add_argument(
        "--series",
        action="append",
        default=[],
        metavar="N|SELECTOR=N",
        help="assume this many raw series for each selector, or for one metric or selector (default: 10)",
    )
    parser.add_argument(
        "--groups",
        type=int,
        default=10,
        metavar="N",
        help="assume this many groups of an SLO with group_by (default: 10)",
    )
    headers.add_options(parser, use="let this Prometheus count the series and samples instead")
    parser.add_argument("--json", action="store_true", help="print JSON, with every rule on its own")


def run(args: argparse.Namespace) -> int:
    """Load the specs, count, and show."""
    try:
        sent = headers.read(args.header, os.environ)
    except headers.HeaderError as error:
        sys.stderr.write(f"freezeline cost: {error}\n")
        return USAGE
    loaded = specs.load(args.specs, args.scope)
    if loaded is None:
        return USAGE
    if specs.report(loaded, as_json=args.json, brief=args.specs):
        return PROBLEMS
    output_set = loaded.output_set
    assumed = _assumptions(args.series, args.groups)
    if assumed is None:
        return USAGE
    measured: dict[int, float] = {}
    try:
        if args.prometheus:
            prometheus = live.connect(args.prometheus, sent)
            assumed = _counted(prometheus, output_set, assumed)
        costs = list(cost.rule_costs(output_set, assumed))
        if args.prometheus:
            with progress("Prometheus counts samples", sys.stderr) as told:
                for index, one in enumerate(costs):
                    measured[index] = _asked(prometheus, one)
                    told(index + 1, len(costs))
    except live.PrometheusError as error:
        sys.stderr.write(f"freezeline cost: {error}\n")
        return ENVIRONMENT
    rivals = cost_rivals.rivals(output_set, assumed)
    if args.json:
        _print_json(costs, measured, rivals)
    else:
        _print_table(output_set, costs, measured, rivals)
    return OK


def _assumptions(written: Sequence[str], groups: int) -> Assumptions | None:
    """The assumed numbers of series; None after a wrong option (reported)."""
    default, by_selector = 10.0, {}
    for text in written:
        match = _OF_SELECTOR.fullmatch(text)
        if text.isascii() and text.isdigit():
            default = float(text)
        elif match is not None and not faults(match["selector"], Want.SELECTOR):
            found = promql.selector(match["selector"])
            by_selector[selector_text(found.metric, found.matchers)] = float(match["series"])
        else:
            sys.stderr.write(f"freezeline cost: --series {text}: write 12, or 'http_requests_total=12'\n")
            return None
    return Assumptions(series=default, by_selector=by_selector, groups=float(groups))


# -- a Prometheus at hand


def _counted(prometheus: Prometheus, output_set: OutputSet, assumed: Assumptions) -> Assumptions:
    """The number of series of each raw selector. Raises PrometheusError."""
    found = dict(assumed.by_selector)
    for selector in raw_selectors(output_set):
        answer = prometheus.query(f"count({selector})")
        found[selector] = float(answer[0]["value"][1]) if answer else 0.0
    return Assumptions(series=assumed.series, by_selector=found, groups=assumed.groups)


def _asked(prometheus: Prometheus, rule: RuleCost) -> float:
    """The samples that Prometheus itself counts for one evaluation. Raises PrometheusError."""
    answer = prometheus.get("/api/v1/query", [("query", rule.expr), ("stats", "all")])
    return float(answer.get("stats", {}).get("samples", {}).get("totalQueryableSamples", 0))


# -- showing it


def _print_json(costs: Sequence[RuleCost], measured: Mapping[int, float], rivals: Mapping[str, Total]) -> None:
    data = {
        "rules": [
            {
                "owner": one.owner,
                "name": one.name,
                "labels": dict(one.labels),
                "evaluations_per_minute": one.per_minute,
                "samples": one.samples,
                "series": one.series,
                "counted_samples": one.counted,
                **({"measured_samples": measured[index]} if index in measured else {}),
            }
            for index, one in enumerate(costs)
        ],
        "totals": {owner or "all": _total_json(total) for owner, total in totals(costs).items()},
        "other_tools": {name: _total_json(total) for name, total in rivals.items()},
    }
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _total_json(total: Total) -> dict[str, float]:
    return {"rules": total.rules, "series": total.series, "samples_per_minute": total.samples_per_minute}


def _print_table(
    output_set: OutputSet, costs: Sequence[RuleCost], measured: Mapping[int, float], rivals: Mapping[str, Total]
) -> None:
    found = totals(costs)
    asked = totals(replace(one, samples=measured[index]) for index, one in enumerate(costs)) if measured else {}
    columns = ("rules", "series", "samples/min") + (("measured/min",) if measured else ())
    print(f"{'':<{_WIDTH}}" + "".join(f"{column:>14}" for column in columns))
    per_slo, per_slo_asked = spread(found, output_set), spread(asked, output_set) if measured else {}
    for owner, total in per_slo.items():
        print(_line(owner, total, per_slo_asked.get(owner)))
    for owner, total in found.items():
        if owner.startswith("alert ") or owner == "self":
            print(_line(owner if owner != "self" else "Freezeline about itself", total, asked.get(owner)))
    print(_line("all", found[""], asked.get("")))
    ours = sum(per_slo[f"slo {spec.service}/{slo.name}"].samples_per_minute for spec, slo in compared(output_set))
    for name, total in rivals.items():
        if total.rules:
            times = f"{total.samples_per_minute / ours:,.1f} × Freezeline"
            print(_line(f"{name}'s rules for the SLOs that it supports", total, None) + f"  {times}")
    sys.stderr.write("Each SLO includes its share of the rules that all SLOs of a profile share\n")


def _line(name: str, total: Total, measured: Total | None) -> str:
    cells = f"{total.rules:>14,.1f}{total.series:>14,.0f}{total.samples_per_minute:>14,.0f}"
    if measured is not None:
        cells += f"{measured.samples_per_minute:>14,.0f}"
    return f"{name[:_WIDTH]:<{_WIDTH}}{cells}"
