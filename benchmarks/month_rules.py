"""The rules that `freezeline generate` writes for the months of `budget_accuracy`, and a fingerprint of each case."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct, structs

from benchmarks.cases import LOOK_AFTER, WORLDS
from benchmarks.history import Recording
from benchmarks.months import HOUR, LENGTH, NATIVE_METRIC, Case
from generator import names, pipeline
from generator.render.rules.gaps import is_gap_group
from generator.render.rules.rule_file import Group
from generator.text.digest import digest

# How old the sums over the month are when the months are judged: nearly as old as they get.
SUM_AGE = 870.0
FINGERPRINT_LENGTH = 16
_NOT_MEASURED = ("rate", "title", "lost", "allowed")  # wording, bounds, and what is measured by its values


def sli(case: Case) -> dict[str, object]:
    """The SLI of a case, as a user would write it."""
    if case.native:
        return {"histogram": f'{NATIVE_METRIC}{{job="{case.name}"}}', "below": 0.5, "native": True}
    total = f'bench_requests_total{{job="{case.name}"}}'
    if case.sli == "good":
        return {"good": f'bench_requests_total{{job="{case.name}",code!~"5.."}}', "total": total}
    return {"bad": f'bench_requests_total{{job="{case.name}",code=~"5.."}}', "total": total}


def spec_text(cases: Sequence[Case]) -> str:
    """A spec with one SLO per case, as a user would write it."""
    spec = {
        "apiVersion": "freezeline/v1",
        "service": "bench",
        "owner": {"team": "bench"},
        "defaults": {"window": "30d", "interval": "1m", "scrape": "30s"},
        "slos": {
            case.name: {
                "objective": float(case.objective),
                "sli": sli(case),
            }
            | ({"group_by": ["region"]} if case.grouped else {})
            for case in cases
        },
    }
    return json.dumps(spec)


class Rules(Struct, frozen=True, kw_only=True):
    """The groups that the ratio over 30 days is recorded by, in the order in which they read each other.

    Of each group there is only what that ratio is made of: the page alerts and their windows stay away.
    """

    rollups: Sequence[Group]
    bases: Sequence[Group]
    repairs: Sequence[Group]
    sums: Sequence[Group]
    slow: Sequence[Group]

    def all(self) -> Iterator[Group]:
        """Every group, in order."""
        for groups in (self.rollups, self.bases, self.repairs, self.sums, self.slow):
            yield from groups


def rules_of(world: str, cases: Sequence[Case]) -> Rules:
    """The rules of cases that share a Prometheus. Raises ValueError for a spec or a group that was not foreseen."""
    loaded = pipeline.load_set([("bench.yaml", spec_text(cases).encode())], scope=world)
    if loaded.problems.errors:
        raise ValueError("\n".join(problem.message for problem in loaded.problems))
    spec_file, shared, _ = pipeline.rule_files(loaded.output_set)
    groups = list(needed([*spec_file.groups, *shared.groups]))
    kinds = {"repairs": is_gap_group, "sums": _named("-sum"), "slow": _named("-slow"), "bases": _named("-fast")}
    found = {kind: [group for group in groups if belongs(group.name)] for kind, belongs in kinds.items()}
    rollups = [group for group in groups if not any(group in known for known in found.values())]
    if not all("-rollup" in group.name for group in rollups):
        raise ValueError(f"a group of unknown purpose among {[group.name for group in rollups]}")
    return Rules(rollups=rollups, **found)


def _named(ending: str) -> Callable[[str], bool]:
    return lambda name: name.endswith(ending)


def needed(groups: Sequence[Group]) -> Iterator[Group]:
    """The groups with only those rules that the budget's ratio is made of, be it through other rules."""
    rules = [rule for group in groups for rule in group.rules if rule.record]
    kept = [rule for rule in rules if rule.record == names.ERROR_RATIO and rule.labels.get(names.WINDOW) == "budget"]
    for rule in kept:  # the list grows
        read = set(_RECORDED.findall(rule.expr))
        kept += [other for other in rules if other.record in read and other not in kept]
    for group in groups:
        if found := tuple(rule for rule in group.rules if rule in kept):
            yield structs.replace(group, rules=found)


_RECORDED = re.compile(r"\bslo:\w+(?::\w+)*")


def recordings(groups: Sequence[Group]) -> list[Recording]:
    """The recording rules of some groups, in order."""
    return [
        Recording(record=rule.record, expr=rule.expr, labels=rule.labels)
        for group in groups
        for rule in group.rules
        if rule.record
    ]


def fingerprint(case: Case) -> str:
    """A digest of what a stored result depends on: the rules of the budget's ratio, the events and the outages.

    The way in which events become counters, and rules are evaluated over them, is no part of the digest, and neither
    are knobs that a case leaves alone: a new knob makes no result stale.
    """
    rules = [
        [group.name, group.interval_ms, [[rule.record, rule.expr, dict(rule.labels)] for rule in recordings([group])]]
        for group in rules_of(case.world, [case]).all()
    ]
    plain = structs.asdict(Case(name=case.name, title=case.title, rate=case.rate))
    knobs = {
        name: repr(value)
        for name, value in structs.asdict(case).items()
        if name == "name" or (name not in _NOT_MEASURED and value != plain[name])
    }
    rates = [case.rate(index * HOUR / 2) for index in range(int(LENGTH / HOUR) * 2)]
    made_of = [rules, knobs, rates, WORLDS[case.world], LOOK_AFTER, SUM_AGE]
    return digest(json.dumps(made_of, sort_keys=True).encode())[:FINGERPRINT_LENGTH]
