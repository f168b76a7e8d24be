"""Policies as values: which alerts start which actions. `receiver.policy.read` makes these values from files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Literal

from msgspec import Struct, field


class Matcher(Struct, frozen=True, kw_only=True):
    """A matcher as in Alertmanager: `=`, `!=`, `=~` or `!~`. Patterns are anchored, and a missing label is ""."""

    label: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether some labels satisfy this matcher."""
        actual = labels.get(self.label, "")
        if "~" not in self.op:
            return (actual == self.value) == (self.op == "=")
        return (_pattern(self.value).fullmatch(actual) is not None) == (self.op == "=~")


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of a policy, compiled once. Policies are few, and nothing of an alert becomes a pattern."""
    return re.compile(text)


class Condition(Struct, frozen=True, kw_only=True):
    """A PromQL instant query. The comparison must hold for `held_for_s`, on samples no older than `max_age_s`."""

    id: str
    query: str
    op: str
    value: Decimal
    held_for_s: float
    max_age_s: float


class Unfreeze(Struct, frozen=True, kw_only=True):
    """When a rule's freeze ends without an operator."""

    resolved_for_s: float
    all_of: tuple[Condition, ...]
    review_after_s: float


class Rule(Struct, frozen=True, kw_only=True):
    """If all matchers match an alert, the receiver starts every action of `do`, once per episode."""

    id: str
    match: tuple[Matcher, ...]
    do: tuple[str, ...]
    unfreeze: Unfreeze

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether this rule matches an alert with these labels."""
        return all(matcher.matches(labels) for matcher in self.match)


class LegacyCommand(Struct, frozen=True, kw_only=True):
    """A legacy freezer that two commands switch on and off."""

    on: tuple[str, ...]
    off: tuple[str, ...]
    timeout_s: float
    env: Mapping[str, str]


class LegacyFile(Struct, frozen=True, kw_only=True):
    """A legacy freezer that is a file. `text` may contain `{reason}`, `{service}` and `{since}`."""

    file: str
    text: str


class FreezeAction(Struct, frozen=True, kw_only=True):
    """Keep a flag on disk. While the file exists, the service is frozen."""

    name: str
    flag: str
    legacy: tuple[LegacyCommand | LegacyFile, ...]


class Check(Struct, frozen=True, kw_only=True):
    """A short command: argv and time limit in seconds."""

    command: tuple[str, ...]
    timeout_s: float


class Verify(Struct, frozen=True, kw_only=True):
    """Asks whether a rollback is done: exit statuses in `done` mean yes, in `not_done` no, all others unknown."""

    check: Check
    done: frozenset[int]
    not_done: frozenset[int]


class Undo(Struct, frozen=True, kw_only=True):
    """How to undo a rollback, for `within_s` seconds after its start, with the command `check`."""

    within_s: float
    check: Check | None


class RollbackAction(Struct, frozen=True, kw_only=True):
    """Roll a release back, at most once per release. If the release is unknown, at most once per episode."""

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


class SwitchAction(Struct, frozen=True, kw_only=True):
    """Give a feature flag in flagd's `file` another default variant. `everyone` also empties the flag's targeting."""

    name: str
    file: str
    flag: str
    variant: str
    everyone: bool


class NotifyAction(Struct, frozen=True, kw_only=True):
    """Tell channels about events. A notice that a channel finally fails to deliver goes to the `fallback` channels."""

    name: str
    channels: tuple[str, ...]
    fallback: tuple[str, ...]
    events: frozenset[str]


PolicyAction = FreezeAction | RollbackAction | SwitchAction | NotifyAction


DEFAULT_SEVERITY = "critical"
"""Severities that escalate if a level names none. An alert without a severity counts as the first of them."""


class Escalation(Struct, frozen=True, kw_only=True):
    """Tell channels `after_s` seconds into an incident that nobody has acknowledged. `level` counts from 1.

    Only alerts of these `severities` start and keep the level's time.
    """

    level: int
    after_s: float
    channels: tuple[str, ...]
    severities: frozenset[str]
    to: str
    ask: str


class Rollouts(Struct, frozen=True, kw_only=True):
    """What the receiver must know of a policy's canary: the actions after an abort, the looks, and the stages."""

    on_abort: tuple[str, ...]
    every_s: float
    weights: tuple[Decimal, ...]


class Policy(Struct, frozen=True, kw_only=True):
    """One policy file. `sha256` is the hash of the file's bytes, in hex. An episode keeps the policy that opened it."""

    name: str
    service: str
    spec: str
    sha256: str
    rules: tuple[Rule, ...]
    actions: Mapping[str, PolicyAction]
    escalation: tuple[Escalation, ...]
    status_every_s: float | None
    rollouts: Rollouts | None = None

    def rule(self, rule_id: str) -> Rule | None:
        """Give the rule with this id."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def freezes(self, names: Iterable[str]) -> tuple[FreezeAction, ...]:
        """Give the freeze actions among the named actions."""
        return tuple(action for name in names if isinstance(action := self.actions[name], FreezeAction))

    def rollbacks(self, names: Iterable[str]) -> tuple[RollbackAction, ...]:
        """Give the rollback actions among the named actions."""
        return tuple(action for name in names if isinstance(action := self.actions[name], RollbackAction))

    def switches(self, names: Iterable[str]) -> tuple[SwitchAction, ...]:
        """Give the switch actions among the named actions."""
        return tuple(action for name in names if isinstance(action := self.actions[name], SwitchAction))

    def switches_of_freezes(self) -> tuple[str, ...]:
        """Give the names of the switch actions that some rule or an abort starts together with a freeze."""
        lists = [rule.do for rule in self.rules] + ([self.rollouts.on_abort] if self.rollouts else [])
        names = [switch.name for do in lists if self.freezes(do) for switch in self.switches(do)]
        return tuple(dict.fromkeys(names))

    def notifies(self, names: Iterable[str]) -> tuple[NotifyAction, ...]:
        """Give the notify actions among the named actions."""
        return tuple(action for name in names if isinstance(action := self.actions[name], NotifyAction))

    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Give every command that the policy may run."""
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
    """The policies in force, and older policies that opened episodes which are still live."""

    in_force: tuple[Policy, ...]
    by_sha256: Mapping[str, Policy]
    _named: dict[str, list[tuple[Policy, Rule]]] = field(default_factory=dict)
    _unnamed: list[tuple[Policy, Rule]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Sort rules by the alert that they name, so that each alert is compared with few rules."""
        for policy in self.in_force:
            for rule in policy.rules:
                names = [one.value for one in rule.match if one.label == "alertname" and one.op == "="]
                where = self._named.setdefault(names[0], []) if names else self._unnamed
                where.append((policy, rule))

    def matching(self, labels: Mapping[str, str]) -> list[tuple[Policy, Rule]]:
        """Every rule that matches: first rules that name the alert, then the others, both in the files' order."""
        named = self._named.get(labels.get("alertname", ""), ())
        return [pair for pair in (*named, *self._unnamed) if pair[1].matches(labels)]

    def flags(self) -> dict[str, Policy]:
        """Give every flag that the policies in force may write, with a policy that names the flag."""
        return {
            action.flag: policy
            for policy in reversed(self.in_force)
            for action in policy.actions.values()
            if isinstance(action, FreezeAction)
        }

    def feature_flags(self) -> tuple[SwitchAction, ...]:
        """Give every switch action of the policies in force."""
        actions = (action for policy in self.in_force for action in policy.actions.values())
        return tuple(action for action in actions if isinstance(action, SwitchAction))

    def of_service(self, service: str) -> tuple[Policy, ...]:
        """Give the policies in force of one service."""
        return tuple(policy for policy in self.in_force if policy.service == service)


NO_POLICIES = Policies(in_force=(), by_sha256={})
