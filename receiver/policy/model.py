"""Policies as values: what to do about which alerts. `receiver.policy.read` makes them from files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct, field


class Matcher(Struct, frozen=True, kw_only=True):
    """One of Alertmanager's: `=`, `!=`, `=~`, `!~`; anchored; an absent label is ""."""

    label: str
    op: str
    value: str
    pattern: re.Pattern[str] | None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy it."""
        actual = labels.get(self.label, "")
        if self.pattern is None:
            return (actual == self.value) == (self.op == "=")
        return (self.pattern.fullmatch(actual) is not None) == (self.op == "=~")


class Condition(Struct, frozen=True, kw_only=True):
    """A PromQL instant query that must compare true for `held_for_s`, on samples not older than `max_age_s`."""

    id: str
    query: str
    op: str
    value: Decimal
    held_for_s: float
    max_age_s: float


class Unfreeze(Struct, frozen=True, kw_only=True):
    """When a rule's freeze ends by itself."""

    resolved_for_s: float
    all_of: tuple[Condition, ...]
    review_after_s: float


class Rule(Struct, frozen=True, kw_only=True):
    """All matchers must match; then every action of `do` is done, once per episode."""

    id: str
    match: tuple[Matcher, ...]
    do: tuple[str, ...]
    unfreeze: Unfreeze

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is this rule's."""
        return all(matcher.matches(labels) for matcher in self.match)


class LegacyCommand(Struct, frozen=True, kw_only=True):
    """An existing freezer that is driven by two commands."""

    on: tuple[str, ...]
    off: tuple[str, ...]
    timeout_s: float
    env: Mapping[str, str]


class LegacyFile(Struct, frozen=True, kw_only=True):
    """An existing freezer that is a file; `{reason}`, `{service}` and `{since}` in `text` are filled in."""

    file: str
    text: str


class FreezeAction(Struct, frozen=True, kw_only=True):
    """Keep a flag on disk. Its existence is the freeze."""

    name: str
    flag: str
    legacy: tuple[LegacyCommand | LegacyFile, ...]


class Check(Struct, frozen=True, kw_only=True):
    """A short command: argv and time limit in seconds."""

    command: tuple[str, ...]
    timeout_s: float


class Verify(Struct, frozen=True, kw_only=True):
    """Says whether a rollback is done: exit status in `done`, in `not_done`, or neither (cannot tell)."""

    check: Check
    done: frozenset[int]
    not_done: frozenset[int]


class Undo(Struct, frozen=True, kw_only=True):
    """For `within_s` seconds after its start a rollback can be taken back; `check` does so once it has ended."""

    within_s: float
    check: Check | None


class RollbackAction(Struct, frozen=True, kw_only=True):
    """Take a release back, at most once per release (or per episode)."""

    name: str
    command: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    timeout_s: float
    grace_s: float
    output_max_bytes: int
    verify: Verify | None
    release: Check | None
    once_per: str
    cooldown_s: float
    max_per_day: int | None
    undo: Undo | None


class NotifyAction(Struct, frozen=True, kw_only=True):
    """Tell channels about events; `fallback` where a channel fails for good."""

    name: str
    channels: tuple[str, ...]
    fallback: tuple[str, ...]
    events: frozenset[str]


PolicyAction = FreezeAction | RollbackAction | NotifyAction


DEFAULT_SEVERITY = "critical"
"""What escalates where a level names no severities, and what an alert without one is taken for."""


class Escalation(Struct, frozen=True, kw_only=True):
    """Told `after_s` seconds into an incident that nobody has acknowledged. `level` counts from 1.

    Only alerts of these `severities` count: others neither begin its time nor keep it running.
    """

    level: int
    after_s: float
    channels: tuple[str, ...]
    severities: frozenset[str]
    to: str
    ask: str


class Policy(Struct, frozen=True, kw_only=True):
    """One file. `sha256` is that of its bytes, in hex; a running episode keeps the policy it was opened with."""

    name: str
    service: str
    spec: str
    sha256: str
    rules: tuple[Rule, ...]
    actions: Mapping[str, PolicyAction]
    escalation: tuple[Escalation, ...]
    status_every_s: float | None

    def rule(self, rule_id: str) -> Rule | None:
        """The rule with this id."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def freezes(self, names: Iterable[str]) -> tuple[FreezeAction, ...]:
        """Those of the named actions that freeze."""
        return tuple(action for name in names if isinstance(action := self.actions[name], FreezeAction))

    def rollbacks(self, names: Iterable[str]) -> tuple[RollbackAction, ...]:
        """Those of the named actions that roll back."""
        return tuple(action for name in names if isinstance(action := self.actions[name], RollbackAction))

    def notifies(self, names: Iterable[str]) -> tuple[NotifyAction, ...]:
        """Those of the named actions that tell."""
        return tuple(action for name in names if isinstance(action := self.actions[name], NotifyAction))

    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Every command that the policy may run."""
        found: list[tuple[str, ...]] = []
        for action in self.actions.values():
            if isinstance(action, FreezeAction):
                for legacy in action.legacy:
                    if isinstance(legacy, LegacyCommand):
                        found += [legacy.on, legacy.off]
            elif isinstance(action, RollbackAction):
                checks = (
                    action.verify.check if action.verify else None,
                    action.release,
                    action.undo.check if action.undo else None,
                )
                found += [action.command, *(check.command for check in checks if check)]
        return tuple(found)


class Policies(Struct, frozen=True, kw_only=True):
    """The policies in force, and older ones that running episodes were opened with."""

    in_force: tuple[Policy, ...]
    by_sha256: Mapping[str, Policy]
    _named: dict[str, list[tuple[Policy, Rule]]] = field(default_factory=dict)
    _unnamed: list[tuple[Policy, Rule]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Sort rules by the alert that they name, so that an alert meets few of them."""
        for policy in self.in_force:
            for rule in policy.rules:
                names = [one.value for one in rule.match if one.label == "alertname" and one.op == "="]
                where = self._named.setdefault(names[0], []) if names else self._unnamed
                where.append((policy, rule))

    def matching(self, labels: Mapping[str, str]) -> list[tuple[Policy, Rule]]:
        """Every rule that matches: those that name the alert, then the others, each in the order of the files."""
        named = self._named.get(labels.get("alertname", ""), ())
        return [pair for pair in (*named, *self._unnamed) if pair[1].matches(labels)]

    def of_service(self, service: str) -> tuple[Policy, ...]:
        """The policies in force of one service."""
        return tuple(policy for policy in self.in_force if policy.service == service)


NO_POLICIES = Policies(in_force=(), by_sha256={})
