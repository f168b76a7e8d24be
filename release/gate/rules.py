"""`rules-loaded`: Prometheus runs every rule of the spec, each with the same expression, and without an error."""

from __future__ import annotations

import promql_parser

from receiver.plaintext import plain
from receiver.sources.asking import SourceError
from receiver.sources.prometheus import LoadedRule
from release.gate.answer import Finding
from release.gate.world import World, cannot_tell, go, no_go
from release.policy.gate import RulesLoaded

SOURCE = "prometheus"


async def check(check: RulesLoaded, world: World) -> Finding:
    """Compare names and expressions. Prometheus prints expressions in its own way, so both sides are parsed."""
    threshold = f"{len(check.rules)} rules"
    if world.prometheus is None:
        return cannot_tell(check.id, SOURCE, "no Prometheus was named", threshold=threshold)
    try:
        loaded = await world.prometheus.rules()
    except SourceError as error:
        return cannot_tell(check.id, SOURCE, str(error), threshold=threshold)
    by_meaning = {(one.name, meaning(one.query)): one for one in loaded}
    names = {one.name for one in loaded}
    missing: list[str] = []
    changed: list[str] = []
    failing: list[str] = []
    for rule in check.rules:
        found: LoadedRule | None = by_meaning.get((rule.name, meaning(rule.query)))
        if found is None:
            (changed if rule.name in names else missing).append(rule.name)
        elif found.health == "err":
            failing.append(f"{rule.name} ({found.error})")
    value = f"{len(check.rules) - len(missing) - len(changed)} rules"
    wrong = [
        *_said("not loaded", missing),
        *_said("loaded with another expression", changed),
        *_said("failing", failing),
    ]
    if wrong:
        return no_go(check.id, SOURCE, plain("; ".join(wrong), 500), value=value, threshold=threshold)
    return go(check.id, SOURCE, "every rule is loaded", value=value, threshold=threshold)


def meaning(query: str) -> str:
    """An expression in one spelling. An expression that does not parse stands for itself."""
    try:
        return str(promql_parser.parse(query).prettify())
    except ValueError:
        return query


def _said(what: str, names: list[str]) -> list[str]:
    shown = sorted(set(names))
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return [f"{what}: {', '.join(shown[:3])}{more}"] if shown else []
