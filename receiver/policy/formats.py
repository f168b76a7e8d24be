"""Formats of policy files: today's, and earlier ones, which the receiver still reads.

Each format has its own schema with its own names, so a problem quotes the words in the file. `upgraded` gives a sound
policy of an earlier format today's names. The policy's text, and therefore its hash, does not change.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

NEWEST = "freezeline.policy/2"
FIRST = "freezeline.policy/1"
KNOWN = (NEWEST, FIRST)

RULE_KEYS = {"release": "unfreeze"}
NOTIFY_KEYS = {"moments": "events"}
KEYS = RULE_KEYS | NOTIFY_KEYS
EVENTS = {"released": "unfrozen"}
"""Names of the first format, each with its present name."""

Path = tuple[str | int, ...]


@functools.cache
def schema(format: str = NEWEST) -> Any:  # noqa: A002 - the key's own name
    """Give the JSON Schema of a format."""
    newest = json.loads(resources.files("receiver.policy").joinpath("policy.schema.json").read_text("utf-8"))
    return newest if format == NEWEST else _with_first_names(newest, instead=True)


@functools.cache
def lenient_schema() -> Any:
    """The newest schema, which also accepts the first format's keys, so that the values below are checked."""
    return _with_first_names(schema(), instead=False)


def _with_first_names(newest: Any, *, instead: bool) -> Any:
    """Put the names of the first format into a schema: `instead` of today's names, or beside today's keys."""
    made = copy.deepcopy(newest)
    if instead:
        made["$id"], made["title"] = "https://freezeline.dev/schemas/policy-1.json", FIRST
        made["properties"]["format"] = {"const": FIRST}
        made["properties"]["gate"] = made["properties"]["canary"] = {"type": "object"}
    for part, keys in (("rule", RULE_KEYS), ("notify", NOTIFY_KEYS)):
        properties = made["$defs"][part]["properties"]
        for old, new in keys.items():
            properties[old] = properties.pop(new) if instead else properties[new]
    if instead:
        events, old_of = made["$defs"]["notify"]["properties"]["moments"]["items"], {v: k for k, v in EVENTS.items()}
        events["enum"] = [old_of.get(event, event) for event in events["enum"]]
    return made


def first_names(raw: Any) -> Iterator[tuple[Path, str, str]]:
    """Find the first format's names in a policy: path of each value, old name and new name.

    The policy may have other problems.
    """
    for index, rule in enumerate(_list(raw, "rules")):
        yield from _first_keys(("rules", index), rule, RULE_KEYS)
    actions = raw.get("actions") if isinstance(raw, dict) else None
    for name, action in actions.items() if isinstance(actions, dict) else ():
        if isinstance(action, dict) and action.get("type") == "notify":
            yield from _first_keys(("actions", name), action, NOTIFY_KEYS)
            yield from _first_events(("actions", name), action)


def _first_keys(at: Path, mapping: Any, names: Mapping[str, str]) -> Iterator[tuple[Path, str, str]]:
    for old, new in names.items():
        if isinstance(mapping, dict) and old in mapping:
            yield (*at, old), old, new


def _first_events(at: Path, action: Any) -> Iterator[tuple[Path, str, str]]:
    for key in ("moments", "events"):
        for number, event in enumerate(_list(action, key)):
            if isinstance(event, str) and event in EVENTS:
                yield (*at, key, number), event, EVENTS[event]


def _list(raw: Any, key: str) -> list[Any]:
    found = raw.get(key) if isinstance(raw, dict) else None
    return found if isinstance(found, list) else []


def upgraded(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a sound policy of any known format with today's names."""
    if raw["format"] == NEWEST:
        return raw
    return {
        **raw,
        "format": NEWEST,
        "rules": [_renamed(rule, RULE_KEYS) for rule in raw["rules"]],
        "actions": {name: _upgraded_action(action) for name, action in raw["actions"].items()},
    }


def _upgraded_action(action: Mapping[str, Any]) -> Mapping[str, Any]:
    if action["type"] != "notify":
        return action
    renamed = _renamed(action, NOTIFY_KEYS)
    if "events" in renamed:
        renamed["events"] = [EVENTS.get(event, event) for event in renamed["events"]]
    return renamed


def _renamed(mapping: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in mapping.items()}
