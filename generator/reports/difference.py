"""Changes in meaning between two sets of specs, and their effects on alerts, episodes and history.

Fingerprints: Alertmanager identifies an alert by its labels. If an alert's labels change, the old alert resolves and a
new one begins; silences and the receiver's open episodes stay with the old alert.

History: long windows are sums of recorded series, therefore series with other labels begin without a past
(docs/backfill.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from generator import names
from generator.model import alert_labels
from generator.model.spec import OutputSet, Slo, Spec
from generator.reports import spec_facts
from generator.units import decimal_text

FINGERPRINT = (
    "new fingerprint: the old alert resolves and a new one begins; silences and episodes stay with the old alert"
)
HISTORY = (
    "the recorded series begin anew: run `freezeline backfill`, or the budget has no past until the window has passed"
)
MIXED = "the recorded past keeps the old meaning: the budget mixes both until the window has passed"


class Change(Struct, frozen=True, kw_only=True):
    """One change. `old` is empty for an addition, `new` for a removal."""

    subject: str
    what: str
    old: str
    new: str
    effect: str = ""
    fingerprint: bool = False
    history: bool = False

    def as_json(self) -> dict[str, object]:
        """The change for `--json`."""
        return {
            "subject": self.subject,
            "what": self.what,
            "old": self.old,
            "new": self.new,
            "effect": self.effect,
            "fingerprint": self.fingerprint,
            "history": self.history,
        }


def compare(old: OutputSet, new: OutputSet) -> list[Change]:
    """Every change in meaning, by spec and subject; empty if both sets mean the same."""
    found: list[Change] = []
    for before, after in _pairs(old.specs, new.specs):
        if before is None or after is None:
            one = before or after
            if one is not None:
                found.append(_whole(one, added=before is None))
        else:
            found += _spec(before, after, old.scope, new.scope)
    return found


def _pairs(old: Sequence[Spec], new: Sequence[Spec]) -> Iterator[tuple[Spec | None, Spec | None]]:
    """Pairs of specs with the same name. Two single files are a pair, whatever their names."""
    if len(old) == len(new) == 1:
        yield old[0], new[0]
        return
    before = {spec.name: spec for spec in old}
    after = {spec.name: spec for spec in new}
    for name in sorted(before.keys() | after.keys()):
        yield before.get(name), after.get(name)


def _whole(spec: Spec, *, added: bool) -> Change:
    parts = [f"slo {slo.name}" for slo in spec.slos] + [f"alert {alert.name}" for alert in spec.alerts]
    text = f"service {spec.service}: {', '.join(parts) or 'no SLO and no alert'}"
    return Change(subject=f"spec {spec.name}", what="spec", old="" if added else text, new=text if added else "")


def _spec(before: Spec, after: Spec, old_scope: str, new_scope: str) -> list[Change]:
    old, new = spec_facts.of(before, old_scope), spec_facts.of(after, new_scope)
    gone = _subjects(old) - _subjects(new)
    added = _subjects(new) - _subjects(old)
    changes = [_subject(subject, old, added=False) for subject in sorted(gone)]
    changes += [_subject(subject, new, added=True) for subject in sorted(added)]
    kept = {slo.name: slo for slo in before.slos}
    slos = {f"slo {slo.name}": (kept[slo.name], slo) for slo in after.slos if slo.name in kept}
    for fact in [*old, *(fact for fact in new if fact not in old)]:
        subject, what = fact
        if subject in gone | added or old.get(fact, "") == new.get(fact, ""):
            continue
        effect = _effect(what, slos[subject]) if subject in slos else ""
        changes.append(Change(subject=subject, what=what, old=old.get(fact, ""), new=new.get(fact, ""), effect=effect))
    changes += _series(before, after, old_scope, new_scope, slos)
    changes += _fingerprints(before, after, old_scope, new_scope)
    return changes


def _subjects(facts: Mapping[spec_facts.Fact, str]) -> set[str]:
    return {subject for subject, _ in facts}


def _subject(subject: str, facts: Mapping[spec_facts.Fact, str], *, added: bool) -> Change:
    """A new or removed subject, shown by its first facts."""
    shown = [f"{what} {text}" for (owner, what), text in facts.items() if owner == subject][:4]
    text = "; ".join(shown)
    return Change(subject=subject, what="the whole subject", old="" if added else text, new=text if added else "")


def _effect(what: str, slos: tuple[Slo, Slo]) -> str:
    """The effect of a changed fact of an SLO."""
    old, new = slos
    if what == "objective":
        times = new.budget_ratio / old.budget_ratio
        more = "as many bad events are allowed"
        return f"budget {_percent(old)} → {_percent(new)}: {decimal_text(times.quantize(Decimal('0.01')))} × {more}"
    if what == "sli" and _series_of(old) == _series_of(new):
        return MIXED
    return ""


def _percent(slo: Slo) -> str:
    return f"{decimal_text(slo.budget_ratio.scaleb(2).normalize())} %"


# -- history


def _series_of(slo: Slo) -> tuple[str, ...]:
    profile = slo.profile
    base = names.base("errors", profile.base_ms)
    rollup = names.rollup("errors", profile.cadence.rollup_ms)
    return (base, rollup, profile.name, profile.window.calendar, *sorted(slo.group_by))


def _series(
    before: Spec, after: Spec, old_scope: str, new_scope: str, slos: Mapping[str, tuple[Slo, Slo]]
) -> Iterator[Change]:
    """SLOs whose recorded series begin anew."""
    for subject, (old, new) in slos.items():
        shown = [
            _shown_series(slo, spec.service, scope)
            for slo, spec, scope in ((old, before, old_scope), (new, after, new_scope))
        ]
        if shown[0] != shown[1]:
            yield Change(
                subject=subject, what="recorded series", old=shown[0], new=shown[1], effect=HISTORY, history=True
            )


def _shown_series(slo: Slo, service: str, scope: str) -> str:
    base, rollup, profile, calendar, *groups = _series_of(slo)
    by = f" by {', '.join(groups)}" if groups else ""
    own = f'{{service="{service}",scope="{scope}",profile="{profile}"}}'
    return f"{base}, {rollup}{own}{by}{' in ' + calendar + 's' if calendar else ''}"


# -- fingerprints


def _fingerprints(before: Spec, after: Spec, old_scope: str, new_scope: str) -> Iterator[Change]:
    """Alerts of both sets with changed labels: one change for each label and pair of values."""
    old, new = _alerts(before, old_scope), _alerts(after, new_scope)
    found: dict[tuple[str, str, str], list[str]] = {}
    for key in (key for key in old if key in new):
        for label in sorted(old[key].keys() | new[key].keys()):
            pair = (old[key].get(label, ""), new[key].get(label, ""))
            if pair[0] != pair[1]:
                found.setdefault((label, *pair), []).append(_shown_alert(key))
    for (label, was, becomes), alerts in found.items():
        yield Change(
            subject="fingerprints",
            what=f"label {label} of {', '.join(alerts)}",
            old=was,
            new=becomes,
            effect=FINGERPRINT,
            fingerprint=True,
        )


def _alerts(spec: Spec, scope: str) -> dict[tuple[str, ...], dict[str, str]]:
    """An alert's identity → its labels; labels of the data have the value `(data)`."""
    groups = {slo.name: slo.group_by for slo in spec.slos}
    groups |= {alert.name: getattr(alert.condition, "by", ()) for alert in spec.alerts}
    found = {}
    for labels in alert_labels.of(spec):
        key = tuple(
            labels.get(label, "") for label in ("alertname", names.SLO, names.TIER, names.BUDGET_CONSUMED_LABEL)
        )
        slo = labels.get(names.SLO)
        of_data = dict.fromkeys(groups.get(slo or labels["alertname"], ()), "(data)")
        found[key] = {**labels, **of_data, **({names.SCOPE: scope} if slo else {})}
    return found


def _shown_alert(key: tuple[str, ...]) -> str:
    inner = ",".join(part for part in key[1:] if part)
    return f"{key[0]}{{{inner}}}" if inner else key[0]
