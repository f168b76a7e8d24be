"""An explanation for a terminal: one block for each SLO or alert, from the spec's line to the people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from generator.reports.explain import AlertShown, Explained, RuleShown, TierShown

Paint = Callable[[str], str]
_KEY_WIDTH = 14


def plain(text: str) -> str:
    """Without colour."""
    return text


def bold(text: str) -> str:
    """For a terminal."""
    return f"\x1b[1m{text}\x1b[0m"


def text(explained: Iterable[Explained], paint: Paint = plain) -> str:
    """All explanations, with blank lines between."""
    return "\n\n".join("\n".join(_lines(one, paint)) for one in explained) + "\n"


def _lines(one: Explained, paint: Paint) -> Iterator[str]:
    yield paint(f"{one.kind} {one.name}  {one.position}")
    yield from _pairs(one.facts)
    if one.reads:
        yield paint("  reads")
    yield from (f"    {read}" for read in one.reads)
    if one.rules:
        yield from _rules(one, paint)
    if one.tiers or one.left_out:
        yield paint(
            "  tiers: factor = share of the budget × window / long; fires above an error ratio of factor × budget"
        )
    for tier in one.tiers:
        yield from _tier(tier)
    yield from (f"    {name}: left out, {reason}" for name, reason in one.left_out.items())
    if one.alerts:
        yield paint("  alerts → policy → people")
    for alert in one.alerts:
        yield from _alert(alert)
    if one.panels:
        yield paint("  panels")
        yield from (f"    {panel}" for panel in one.panels)


def _pairs(facts: Mapping[str, str]) -> Iterator[str]:
    for key, value in facts.items():
        yield f"    {key:<{_KEY_WIDTH}}{value}"


def _rules(one: Explained, paint: Paint) -> Iterator[str]:
    own = [rule for rule in one.rules if rule.own]
    shared = [rule for rule in one.rules if not rule.own]
    yield paint("  rules of its own")
    for rule in own:
        yield f"    {rule.name}  each {rule.interval}  ({rule.file}, group {rule.group})"
        yield from (f"      {line}" for line in rule.expr.split("\n"))
    if shared:
        yield paint(f"  rules shared by all SLOs of its profile  ({shared[0].file})")
    yield from _shared(shared)


def _shared(rules: list[RuleShown]) -> Iterator[str]:
    by_interval: dict[str, list[str]] = {}
    for rule in rules:
        marks = [rule.labels[label] for label in ("window", "tier", "budget_consumed") if label in rule.labels]
        shown = f"{rule.name}[{','.join(marks)}]" if marks else rule.name
        by_interval.setdefault(rule.interval, []).append(shown)
    for interval, shown_rules in by_interval.items():
        yield f"    each {interval}: {', '.join(dict.fromkeys(shown_rules))}"


def _tier(tier: TierShown) -> Iterator[str]:
    yield f"    {tier.name} ({tier.severity}), over {tier.long} and {tier.short}"
    yield f"      factor     {tier.factor_working}; at this rate the whole budget is gone in {tier.budget_gone_after}"
    yield f"      threshold  {tier.threshold_working}"
    seen = ", ".join(f"{after} at {level} errors" for level, after in tier.detected_after.items())
    yield f"      detected   after {seen}" if seen else "      detected   only beyond 20 % errors"
    yield f"      resets     {tier.resets_after} after the last error"


def _alert(alert: AlertShown) -> Iterator[str]:
    labels = ", ".join(f"{label}={value}" for label, value in alert.labels.items() if label != "alertname")
    yield f"    {alert.name}{{{labels}}}: {alert.fires_when}"
    for rule in alert.policy:
        yield f"      {rule.id} ({rule.position}): {', '.join(rule.does)}; unfrozen when {rule.unfrozen}"
        yield from (f"        sets {feature_flag}" for feature_flag in rule.sets)
    if not alert.policy:
        yield "      no policy rule: no freeze and no rollback"
    yield f"      told: {'; '.join(alert.told)}" if alert.told else "      told: Alertmanager tells nobody"
