"""Reads policy files. The format is `policy.schema.json` beside this module; docs/policy.md explains each key.

The reader collects every problem of a file at once. `receiver.loops.policies` says where policies come from, and which
policy is in force.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

import jsonschema

from freezeline.problems import Position, Problems
from receiver.policy import formats
from receiver.policy.formats import schema
from receiver.policy.model import (
    DEFAULT_SEVERITY,
    NO_POLICIES,
    Check,
    Condition,
    Escalation,
    FreezeAction,
    LegacyCommand,
    LegacyFile,
    Matcher,
    NotifyAction,
    Policies,
    Policy,
    PolicyAction,
    RollbackAction,
    Rollouts,
    Rule,
    SwitchAction,
    Undo,
    Unfreeze,
    Verify,
)
from receiver.policy.positions import locate

__all__ = [
    "DEFAULT_EVENTS",
    "DEFAULT_SEVERITY",
    "NO_POLICIES",
    "Check",
    "Condition",
    "Escalation",
    "FreezeAction",
    "LegacyCommand",
    "LegacyFile",
    "Matcher",
    "NotifyAction",
    "Policies",
    "Policy",
    "PolicyAction",
    "RollbackAction",
    "Rollouts",
    "Rule",
    "SwitchAction",
    "Undo",
    "Unfreeze",
    "Verify",
    "parse_policy",
    "schema",
]

DEFAULT_EVENTS = frozenset(
    {
        "opened",
        "frozen",
        "freeze_failed",
        "unfreeze_failed",
        "rollback_started",
        "rollback_done",
        "rollback_failed",
        "rollback_skipped",
        "feature_flag_kept",
        "feature_flag_failed",
        "unfrozen",
        "resolved",
        "canary_started",
        "canary_refused",
        "canary_shifted",
        "canary_held",
        "canary_resumed",
        "canary_approval",
        "canary_approved",
        "canary_promoted",
        "canary_aborted",
        "canary_rolled_back",
        "canary_rollback_failed",
        "canary_superseded",
        "canary_silent",
        "canary_done",
    }
)
"""Events that a `notify` action without `events` announces: all of a rollout's among them."""


def parse_policy(text: str, *, file: str, channels: Collection[str] | None, problems: Problems) -> Policy | None:
    """Read a policy. Problems go into `problems`; after a problem the answer is None.

    `channels` are the names in receiver.yaml. A policy that names another channel is refused. With None, the channels
    are not checked: the reader has no receiver.yaml.
    """
    try:
        raw = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        position = Position(file, error.lineno, error.colno)
        problems.add("policy/json", position, f"not JSON: {error.msg}", "write one JSON object")
        return None
    except (ValueError, RecursionError) as error:
        problems.add("policy/json", Position(file), f"not JSON: {error}"[:300], "write one JSON object")
        return None
    before = len(problems)
    _check_format(raw, text, file, problems)
    if len(problems) > before:
        return None
    _check_names(raw, text, file, channels, problems)
    if len(problems) > before:
        return None
    return _build(formats.upgraded(raw), hashlib.sha256(text.encode()).hexdigest())


def _no_number(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads and JSON does not know."""
    raise ValueError(f"{name} is no number")


def _check_format(raw: Any, text: str, file: str, problems: Problems) -> None:
    """Check a policy against the schema of its own format."""
    given = raw.get("format", formats.NEWEST) if isinstance(raw, dict) else formats.NEWEST
    if given not in formats.KNOWN:
        hint = f"write {' or '.join(formats.KNOWN)}; `freezeline generate` writes {formats.NEWEST}"
        problems.add("policy/format", locate(text, ("format",), file), f"unknown format {str(given)[:100]!r}", hint)
        return
    renamed = list(formats.first_names(raw)) if given == formats.NEWEST else []
    for path, old, new in renamed:
        what = "the event " if old in formats.EVENTS else ""
        message, hint = f"{what}`{old}` is called `{new}` now", f'write "{new}" instead of "{old}"'
        problems.add("policy/renamed", locate(text, path, file), message, hint)
    validator = _validator("lenient" if renamed else given)
    said = {path for path, _, _ in renamed}
    for found in sorted(validator.iter_errors(raw), key=lambda found: list(map(str, found.absolute_path))):
        if found.validator != "enum" or tuple(found.absolute_path) not in said:
            _note_schema_error(found, text, file, problems)


def _note_schema_error(error: Any, text: str, file: str, problems: Problems) -> None:
    """Note the innermost errors of a schema error, because `allOf` says only that something below is wrong."""
    if error.context:
        for inner in error.context:
            _note_schema_error(inner, text, file, problems)
        return
    path = tuple(error.absolute_path)
    where = ".".join(map(str, path)) or "the policy"
    problems.add("policy/schema", locate(text, path, file), f"{where}: {error.message[:300]}", _hint(error))


def _hint(error: Any) -> str:
    if error.validator == "additionalProperties":
        known = set(error.schema.get("properties", ()))
        earlier = {old for old, new in formats.KEYS.items() if {old, new} <= known}
        return f"use one of: {', '.join(sorted(known - earlier))}"
    if error.validator == "pattern" and error.schema.get("pattern", "").startswith("^/"):
        return "write an absolute path, which begins with `/`"
    return str(error.schema.get("description", ""))


def _check_names(raw: Any, text: str, file: str, channels: Collection[str] | None, problems: Problems) -> None:
    """Check the rules that a schema cannot express: known names, different ids, valid patterns."""
    ids: set[str] = set()
    for index, rule in enumerate(raw["rules"]):
        at = ("rules", index)

        if rule["id"] in ids:
            message = f"two rules have the id {rule['id']}"
            problems.add("policy/duplicate", locate(text, (*at, "id"), file), message, "write another `id`")
        ids.add(rule["id"])
        for number, name in enumerate(rule["do"]):
            if name not in raw["actions"]:
                known = ", ".join(sorted(raw["actions"])) or "none"
                position = locate(text, (*at, "do", number), file)
                problems.add("policy/unknown-action", position, f"no action {name}", f"use one of: {known}")
    for path, fault in _pattern_faults(raw):
        problems.add("policy/pattern", locate(text, path, file), fault, "correct the regular expression")
    for number, name in enumerate(raw.get("canary", {}).get("on_abort", ())):
        if name not in raw["actions"]:
            known = ", ".join(sorted(raw["actions"])) or "none"
            position = locate(text, ("canary", "on_abort", number), file)
            problems.add("policy/unknown-action", position, f"no action {name}", f"use one of: {known}")
    for path, name in _named_channels(raw):
        if channels is not None and name not in channels:
            known = ", ".join(sorted(channels)) or "none"
            message, hint = f"no channel {name} in receiver.yaml", f"use one of: {known}"
            position = locate(text, path, file)
            problems.add("policy/unknown-channel", position, message, hint)


def _matchers(raw: Any) -> Iterable[tuple[tuple[str | int, ...], Mapping[str, str]]]:
    """Every matcher of a policy with its place: of rules, and of what the newest format says about releases."""
    for index, rule in enumerate(raw["rules"]):
        for number, matcher in enumerate(rule["match"]):
            yield ("rules", index, "match", number), matcher
    if raw["format"] != formats.NEWEST:
        return
    for index, check in enumerate(raw.get("gate", {}).get("checks", ())):
        for number, matcher in enumerate(check.get("match", ())):
            yield ("gate", "checks", index, "match", number), matcher
    for index, alert in enumerate(raw.get("canary", {}).get("abort_on", ())):
        for number, matcher in enumerate(alert):
            yield ("canary", "abort_on", index, number), matcher


def _pattern_faults(raw: Any) -> Iterable[tuple[tuple[str | int, ...], str]]:
    """Every matcher whose pattern is no regular expression: its place, and why."""
    for path, matcher in _matchers(raw):
        try:
            re.compile(matcher["value"] if "~" in matcher["op"] else "")
        except re.error as error:
            yield path, f"{matcher['value']}: {error}"


def _named_channels(raw: Any) -> Iterable[tuple[tuple[str | int, ...], str]]:
    for name, action in raw["actions"].items():
        for key in ("channels", "fallback"):
            for number, channel in enumerate(action.get(key, ())):
                yield ("actions", name, key, number), channel
    for index, level in enumerate(raw.get("escalation", ())):
        for number, channel in enumerate(level["channels"]):
            yield ("escalation", index, "channels", number), channel


@functools.cache
def _validator(format: str) -> Any:  # noqa: A002 - the key's own name
    chosen = formats.lenient_schema() if format == "lenient" else schema(format)
    return jsonschema.Draft202012Validator(chosen)


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
                severities=frozenset(level.get("severities", (DEFAULT_SEVERITY,))),
                to=level.get("to", ""),
                ask=level.get("ask", ""),
            )
            for number, level in enumerate(raw.get("escalation", ()), start=1)
        ),
        status_every_s=raw.get("status_every_s"),
        rollouts=_rollouts(raw["canary"]) if "every_s" in raw.get("canary", {}) else None,
    )


def _rollouts(raw: Any) -> Rollouts:
    return Rollouts(
        on_abort=tuple(raw.get("on_abort", ())),
        every_s=float(raw["every_s"]),
        weights=tuple(Decimal(stage["weight"]) for stage in raw["stages"]),
    )


def _rule(raw: Any) -> Rule:
    unfreeze = raw.get("unfreeze", {})
    return Rule(
        id=raw["id"],
        match=tuple(
            Matcher(label=matcher["label"], op=matcher["op"], value=matcher["value"]) for matcher in raw["match"]
        ),
        do=tuple(raw["do"]),
        unfreeze=Unfreeze(
            resolved_for_s=float(unfreeze.get("resolved_for_s", 300)),
            all_of=tuple(
                Condition(
                    id=condition["id"],
                    query=condition["query"],
                    op=condition["op"],
                    value=Decimal(condition["value"]),
                    held_for_s=float(condition.get("held_for_s", 0)),
                    max_age_s=float(condition.get("max_age_s", 600)),
                )
                for condition in unfreeze.get("all_of", ())
            ),
            review_after_s=float(unfreeze.get("review_after_s", 86400)),
        ),
    )


def _action(name: str, raw: Any) -> PolicyAction:
    if raw["type"] == "freeze":
        return FreezeAction(name=name, flag=raw["flag"], legacy=tuple(_legacy(one) for one in raw.get("legacy", ())))
    if raw["type"] == "notify":
        events = raw.get("events")
        return NotifyAction(
            name=name,
            channels=tuple(raw["channels"]),
            fallback=tuple(raw.get("fallback", ())),
            events=DEFAULT_EVENTS if events is None else frozenset(events),
        )
    if raw["type"] == "switch":
        return SwitchAction(
            name=name,
            file=raw["file"],
            flag=raw["flag"],
            variant=raw["variant"],
            everyone=raw.get("everyone", False),
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
