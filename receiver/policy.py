"""Policies: what to do about which alerts. `policy.schema.json` beside this file is the format; see docs/receiver.md.

Reading collects every problem of a file at once. Where a policy comes from, and which one is in force, is
`receiver.policy_store`'s matter.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import resources
from typing import Any

from freezeline.problems import Position, Problems
from receiver.positions import locate

DEFAULT_MOMENTS = frozenset(
    {"opened", "frozen", "rollback_started", "rollback_done", "rollback_failed", "released", "resolved"}
)
"""What a `notify` action without `moments` announces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matcher:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A PromQL instant query that must compare true for `held_for_s`, on samples not older than `max_age_s`."""

    id: str
    query: str
    op: str
    value: Decimal
    held_for_s: float
    max_age_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """When a rule's freeze ends by itself."""

    resolved_for_s: float
    all_of: tuple[Condition, ...]
    review_after_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """All matchers must match; then every action of `do` is done, once per episode."""

    id: str
    match: tuple[Matcher, ...]
    do: tuple[str, ...]
    release: Release

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is this rule's."""
        return all(matcher.matches(labels) for matcher in self.match)


@dataclass(frozen=True, kw_only=True, slots=True)
class LegacyCommand:
    """An existing freezer that is driven by two commands."""

    on: tuple[str, ...]
    off: tuple[str, ...]
    timeout_s: float
    env: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class LegacyFile:
    """An existing freezer that is a file; `{reason}`, `{service}` and `{since}` in `text` are filled in."""

    file: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FreezeAction:
    """Hold a flag. Its existence is the freeze."""

    name: str
    flag: str
    legacy: tuple[LegacyCommand | LegacyFile, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A short command: argv and time limit in seconds."""

    command: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Verify:
    """Says whether a rollback is done: exit status in `done`, in `not_done`, or neither (cannot tell)."""

    check: Check
    done: frozenset[int]
    not_done: frozenset[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """For `within_s` seconds after its start a rollback can be taken back; `check` does so once it has ended."""

    within_s: float
    check: Check | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackAction:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifyAction:
    """Tell channels about moments; `fallback` where a channel fails for good."""

    name: str
    channels: tuple[str, ...]
    fallback: tuple[str, ...]
    moments: frozenset[str]


PolicyAction = FreezeAction | RollbackAction | NotifyAction


@dataclass(frozen=True, kw_only=True, slots=True)
class Escalation:
    """Told `after_s` seconds into an incident that nobody has acknowledged. `level` counts from 1."""

    level: int
    after_s: float
    channels: tuple[str, ...]
    to: str
    ask: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
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


def parse_policy(text: str, *, file: str, channels: Collection[str], problems: Problems) -> Policy | None:
    """Read a policy; what is wrong goes into `problems`, and then the answer is None.

    `channels` are the names that receiver.yaml knows; a policy that names another is refused.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        position = Position(file, error.lineno, error.colno)
        problems.add("policy/json", position, f"not JSON: {error.msg}", "a policy is one JSON object")
        return None
    before = len(problems)
    for found in sorted(_validator().iter_errors(raw), key=lambda found: list(map(str, found.absolute_path))):
        _note_schema_error(found, text, file, problems)
    if len(problems) > before:
        return None
    _check_names(raw, text, file, channels, problems)
    if len(problems) > before:
        return None
    return _build(raw, hashlib.sha256(text.encode()).hexdigest())


def _note_schema_error(error: Any, text: str, file: str, problems: Problems) -> None:
    """Note the innermost errors of a schema error: `allOf` says only that something below is wrong."""
    if error.context:
        for inner in error.context:
            _note_schema_error(inner, text, file, problems)
        return
    path = tuple(error.absolute_path)
    where = ".".join(map(str, path)) or "the policy"
    problems.add("policy/schema", locate(text, path, file), f"{where}: {error.message[:300]}", _hint(error))


def _hint(error: Any) -> str:
    if error.validator == "additionalProperties":
        return f"known keys: {', '.join(sorted(error.schema.get('properties', ())))}"
    if error.validator == "pattern" and error.schema.get("pattern", "").startswith("^/"):
        return "paths and commands are absolute"
    return str(error.schema.get("description", ""))


def _check_names(raw: Any, text: str, file: str, channels: Collection[str], problems: Problems) -> None:
    """What a schema cannot say: names that must exist, ids that must differ, patterns that must compile."""
    ids: set[str] = set()
    for index, rule in enumerate(raw["rules"]):
        at = ("rules", index)
        if rule["id"] in ids:
            problems.add("policy/duplicate", locate(text, (*at, "id"), file), f"two rules are named {rule['id']}")
        ids.add(rule["id"])
        for number, name in enumerate(rule["do"]):
            if name not in raw["actions"]:
                known = ", ".join(sorted(raw["actions"])) or "none"
                position = locate(text, (*at, "do", number), file)
                problems.add("policy/unknown-action", position, f"no action {name}", f"known actions: {known}")
        for number, matcher in enumerate(rule["match"]):
            _check_pattern(matcher, locate(text, (*at, "match", number), file), problems)
    for path, name in _named_channels(raw):
        if name not in channels:
            known = ", ".join(sorted(channels)) or "none"
            position = locate(text, path, file)
            problems.add("policy/unknown-channel", position, f"no channel {name} in receiver.yaml", f"known: {known}")


def _check_pattern(matcher: Mapping[str, str], position: Position, problems: Problems) -> None:
    if "~" not in matcher["op"]:
        return
    try:
        re.compile(matcher["value"])
    except re.error as error:
        problems.add("policy/pattern", position, f"{matcher['value']}: {error}", "patterns are anchored on both sides")


def _named_channels(raw: Any) -> Iterable[tuple[tuple[str | int, ...], str]]:
    for name, action in raw["actions"].items():
        for key in ("channels", "fallback"):
            for number, channel in enumerate(action.get(key, ())):
                yield ("actions", name, key, number), channel
    for index, level in enumerate(raw.get("escalation", ())):
        for number, channel in enumerate(level["channels"]):
            yield ("escalation", index, "channels", number), channel


@functools.cache
def schema() -> Any:
    """The JSON Schema of `freezeline.policy/1`."""
    return json.loads(resources.files("receiver").joinpath("policy.schema.json").read_text("utf-8"))


@functools.cache
def _validator() -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(schema())


def _build(raw: Any, sha256: str) -> Policy:
    return Policy(
        name=raw["name"],
        service=raw["service"],
        spec=raw.get("spec", ""),
        sha256=sha256,
        rules=tuple(_rule(rule) for rule in raw["rules"]),
        actions={name: _action(name, action) for name, action in raw["actions"].items()},
        escalation=tuple(
            Escalation(
                level=level.get("level", number),
                after_s=float(level["after_s"]),
                channels=tuple(level["channels"]),
                to=level.get("to", ""),
                ask=level.get("ask", ""),
            )
            for number, level in enumerate(raw.get("escalation", ()), start=1)
        ),
        status_every_s=raw.get("status_every_s"),
    )


def _rule(raw: Any) -> Rule:
    release = raw.get("release", {})
    return Rule(
        id=raw["id"],
        match=tuple(
            Matcher(
                label=matcher["label"],
                op=matcher["op"],
                value=matcher["value"],
                pattern=re.compile(matcher["value"]) if "~" in matcher["op"] else None,
            )
            for matcher in raw["match"]
        ),
        do=tuple(raw["do"]),
        release=Release(
            resolved_for_s=float(release.get("resolved_for_s", 300)),
            all_of=tuple(
                Condition(
                    id=condition["id"],
                    query=condition["query"],
                    op=condition["op"],
                    value=Decimal(condition["value"]),
                    held_for_s=float(condition.get("held_for_s", 0)),
                    max_age_s=float(condition.get("max_age_s", 600)),
                )
                for condition in release.get("all_of", ())
            ),
            review_after_s=float(release.get("review_after_s", 86400)),
        ),
    )


def _action(name: str, raw: Any) -> PolicyAction:
    if raw["type"] == "freeze":
        return FreezeAction(name=name, flag=raw["flag"], legacy=tuple(_legacy(one) for one in raw.get("legacy", ())))
    if raw["type"] == "notify":
        moments = raw.get("moments")
        return NotifyAction(
            name=name,
            channels=tuple(raw["channels"]),
            fallback=tuple(raw.get("fallback", ())),
            moments=DEFAULT_MOMENTS if moments is None else frozenset(moments),
        )
    return _rollback(name, raw)


def _legacy(raw: Any) -> LegacyCommand | LegacyFile:
    if "file" in raw:
        return LegacyFile(file=raw["file"], text=raw["text"])
    return LegacyCommand(
        on=tuple(raw["on"]),
        off=tuple(raw["off"]),
        timeout_s=float(raw.get("timeout_s", 10)),
        env=dict(raw.get("env", {})),
    )


def _check(raw: Any, default_timeout_s: float) -> Check:
    return Check(command=tuple(raw["command"]), timeout_s=float(raw.get("timeout_s", default_timeout_s)))


def _rollback(name: str, raw: Any) -> RollbackAction:
    verify, release, undo = raw.get("verify"), raw.get("release"), raw.get("undo")
    return RollbackAction(
        name=name,
        command=tuple(raw["command"]),
        cwd=raw.get("cwd", "/"),
        env=dict(raw.get("env", {})),
        timeout_s=float(raw["timeout_s"]),
        grace_s=float(raw.get("grace_s", 10)),
        output_max_bytes=raw.get("output_max_bytes", 1048576),
        verify=verify
        and Verify(
            check=_check(verify, 30),
            done=frozenset(verify.get("done", [0])),
            not_done=frozenset(verify.get("not_done", [1])),
        ),
        release=release and _check(release, 5),
        once_per=raw.get("once_per", "release"),
        cooldown_s=float(raw.get("cooldown_s", 0)),
        max_per_day=raw.get("max_per_day"),
        undo=undo
        and Undo(
            within_s=float(undo["within_s"]),
            check=_check(undo, raw["timeout_s"]) if "command" in undo else None,
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Policies:
    """The policies in force, and older ones that running episodes were opened with."""

    in_force: tuple[Policy, ...]
    by_sha256: Mapping[str, Policy]
    _named: dict[str, list[tuple[Policy, Rule]]] = field(init=False, default_factory=dict, repr=False)
    _unnamed: list[tuple[Policy, Rule]] = field(init=False, default_factory=list, repr=False)

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
