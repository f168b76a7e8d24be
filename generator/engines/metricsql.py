"""VictoriaMetrics: rules in MetricsQL for vmalert, whose rates, chains of rules and instants differ from Prometheus'.

- `rate` and `increase` of MetricsQL reach back before their range; `rate_prometheus` and `increase_prometheus` do not.
- vmalert sends results to the database while the group goes on. No rule finds what an earlier rule of its group records
  at the same instant, so an expression stands in place of its recorded name. Groups that cannot be written so become
  stages, some seconds apart.
- Groups without `eval_offset` look half a minute back. With it, each group has an instant of its own.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from freezeline.problems import Position, Problem
from generator import names
from generator.engines import chains
from generator.engines.chains import Read
from generator.promql.text import enclosed, quote
from generator.promql.tokens import closing, tokens
from generator.render.rules.rule_file import Group, Rule, RuleFile
from generator.sli.base import LOOKBACK_MS
from generator.text.yaml_text import Plain
from generator.units import HOUR, SECOND, duration_text, parse_duration_ms

STAGE_MS = 10 * SECOND
"""A stage begins so much later than the stage whose results it reads; vmalert hands results over every 2 seconds.

Never later than half an interval: a range of N and a half intervals still begins before the oldest of N results.
"""

RAW_DELAY_MS = 5 * SECOND
"""Raw counters are read as of so long ago, because the newest samples are still on their way."""

NO_DELAY = "1ms"
"""The shortest delay that VictoriaMetrics takes; without one, it would look half a minute back."""

STAGED_FROM_MS = HOUR
"""Groups of so long an interval become stages throughout: their expressions are too dear to be evaluated twice."""

_LAST = "last_over_time("
_NATIVE = re.compile(r"\bhistogram_(?:count|fraction|sum|avg)\(")
_RANGE = re.compile(r"\[([0-9a-z]+)(?::[0-9a-z]*)?\]")
_GRAPH_LINK = re.compile(r"\{\{- \$externalURL \}\}\{\{ (printf .*?) \| graphLink \}\}")
_NOT_OF_GROUP = re.compile(r"(\{\{- if not \(eq \$name [^)]*)(\) \}\})")
_ADDED_LABELS = ("alertname", "alertgroup", names.SEVERITY, names.TIER, names.BUDGET_CONSUMED_LABEL)
_LATER = {"-rollup-of-rates": 1, "-sum": 2, "-slow": 3}
"""The stage of a group by the end of its name, unless the file is that of a spec."""


def refused(files: Iterable[RuleFile]) -> list[Problem]:
    """Native histograms: VictoriaMetrics turns them into histograms of its own, which MetricsQL reads otherwise."""
    return [
        Problem(
            code="target/native-histogram",
            position=rule.origin or Position(file.path),
            message="the rules would read a native histogram, and VictoriaMetrics has none",
            hint="write `native: false`, and have the service expose buckets; or choose another --target",
        )
        for file in files
        for group in file.groups
        for rule in group.rules
        if _NATIVE.search(rule.expr)
    ]


def adapt(file: RuleFile, scrape_ms: int) -> RuleFile:
    """The rule file for vmalert. `scrape_ms` is the scrape interval of the counters, 0 where no rule reads counters."""
    groups = [part for group in file.groups for part in _group(group, scrape_ms)]
    anchored = {_annotation(text): anchor for text, anchor in file.anchored.items()}
    return replace(file, groups=tuple(groups), anchored=anchored)


def _group(group: Group, scrape_ms: int) -> Iterator[Group]:
    rules = [_written_for_vmalert(rule, scrape_ms) for rule in group.rules]
    inlined = [] if group.interval_ms >= STAGED_FROM_MS else _inlined(rules)
    first = _first_stage(group, of_a_spec=bool(scrape_ms))
    for number, stage in enumerate(_stages(inlined or rules)):
        raw = bool(scrape_ms) and number == 0 and first == 0
        name = f"{group.name}-stage-{number + 1}" if number else group.name
        yield replace(group, name=name, rules=tuple(stage), options=_options(group, first + number, raw=raw))


def _first_stage(group: Group, *, of_a_spec: bool) -> int:
    """How many stages a group's inputs take before it: shared rules read what specs' rules record."""
    if of_a_spec:
        return 1 if group.name.endswith("-rollup-of-rates") else 0
    return next((stage for end, stage in _LATER.items() if group.name.endswith(end)), 1)


def _options(group: Group, stage: int, *, raw: bool) -> Mapping[str, Plain]:
    """When vmalert evaluates the group, and what it asks VictoriaMetrics for."""
    between_ms = min(STAGE_MS, (group.interval_ms - 1) // 2 // SECOND * SECOND) or SECOND
    start_ms = stage * between_ms
    if group.interval_ms >= STAGED_FROM_MS:  # a day of raw counters: not all specs at the full hour
        start_ms += zlib.crc32(group.name.encode()) % (group.interval_ms // 2) // SECOND * SECOND
    delay = duration_text(RAW_DELAY_MS) if raw else NO_DELAY
    # `step` is how far back an instant selector looks.
    params = {"latency_offset": [delay], "step": [duration_text(LOOKBACK_MS)]}
    return {"eval_offset": duration_text(start_ms % group.interval_ms) if start_ms else "0s", "params": params}


# -- expressions


def _written_for_vmalert(rule: Rule, scrape_ms: int) -> Rule:
    annotations = {name: _annotation(text) for name, text in rule.annotations.items()}
    expr = exact(rule.expr, scrape_ms) if rule.record and scrape_ms else rule.expr
    return replace(rule, expr=expr, annotations=annotations)


def _annotation(text: str) -> str:
    """The template for vmalert, which has no `graphLink`: VictoriaMetrics' page takes a query in its address.

    Its `$labels` hold the labels that the rule adds, too. They belong to no group of the alert.
    """
    linked = _GRAPH_LINK.sub(r"{{- $externalURL }}/vmui/#/?g0.expr={{ \1 | queryEscape }}", text)
    return _NOT_OF_GROUP.sub(rf"\1 {' '.join(map(quote, _ADDED_LABELS))}\2", linked)


def exact(expr: str, scrape_ms: int) -> str:
    """The expression with Prometheus' counting of counters.

    `rate_prometheus` divides what the samples inside the range show by the whole range. N + 1 samples span N scrapes,
    so the factor takes the place of Prometheus' extrapolation.
    """
    written, done = [], 0
    found = tokens(expr)
    for at, token in enumerate(found[:-1]):
        if token.word not in {"rate", "increase"} or found[at + 1].text != "(" or token.start < done:
            continue
        end = found[closing(found, at + 1)].end
        call = f"{token.text}_prometheus{expr[token.end : end]}"
        span = _RANGE.search(call)
        span_ms = parse_duration_ms(span[1]) if span else 0
        if token.word == "rate" and span_ms > scrape_ms:
            call = f"({call} * {span_ms // SECOND} / {(span_ms - scrape_ms) // SECOND})"
        written += [expr[done : token.start], call]
        done = end
    return "".join([*written, expr[done:]])


def _inlined(rules: Sequence[Rule]) -> list[Rule]:
    """The rules, each with what an earlier rule records at the same instant in the place of the recorded name."""
    earlier = chains.Earlier()
    found: list[Rule] = []
    for rule in rules:
        expr = rule.expr
        for read in reversed(list(chains.reads(rule.expr))):
            made_by = earlier.producers(read)
            if len(made_by) == 1:
                expr = _in_place(expr, read, made_by[0])
        found.append(replace(rule, expr=expr))
        earlier.add(found[-1])
    return found


def _in_place(expr: str, read: Read, made_by: Rule) -> str:
    labels = [text for label in made_by.labels.items() for text in map(quote, label)]
    before = expr[expr.rfind("\n", 0, read.start) + 1 : read.start]
    margin = before[: len(before) - len(before.lstrip())]
    value = enclosed(made_by.expr, "label_set(", ", ".join(labels)).replace("\n", f"\n{margin}")
    if not read.ranged:
        return expr[: read.start] + value + expr[read.end :]
    if not expr[: read.start].endswith(_LAST):
        return expr
    # The last value of a range is that of this instant, or else an earlier one.
    end = expr.index(")", read.end) + 1
    start = read.start - len(_LAST)
    return f"{expr[:start]}({value} or {expr[start:end]}){expr[end:]}"


def _stages(rules: Sequence[Rule]) -> list[list[Rule]]:
    """The rules in stages, in their order: none reads, at the same instant, what a rule of its own stage records."""
    stages: list[list[Rule]] = [[]]
    own = chains.Earlier()
    for rule in rules:
        if any(_waits(rule, read, own) for read in chains.reads(rule.expr)):
            stages.append([])
            own = chains.Earlier()
        stages[-1].append(rule)
        own.add(rule)
    return stages


def _waits(rule: Rule, read: Read, own: chains.Earlier) -> bool:
    """Whether results of this instant must be in the database; a range that was written out needs none."""
    written_out = read.ranged and rule.expr[: read.start].endswith(f" or {_LAST}")
    return not written_out and bool(own.producers(read))
