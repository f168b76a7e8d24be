"""Adds Freezeline's routes and receivers to an existing Alertmanager configuration, and keeps every other byte.

The added lines stand between marks: the next merge replaces them, and `remove` takes them out. The result is checked by
reading it back: the user's data with Freezeline's added, and nothing else.

Alertmanager uses the root's receiver only if no route matches. Freezeline's route matches every alert, so the merge
writes the root's receiver out as the last route (`_fallback`). Without that route, alerts that no route of the user
matches would reach only Freezeline's receiver.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import yaml
from msgspec import Struct

from freezeline.problems import Position, Problems
from generator.existing.document import Document, Text, entry, is_true, items, mapping, mappings, read
from generator.existing.edits import Edits
from generator.existing.lines import join, split, without_bom, without_ours
from generator.render.alertmanager.alertmanager import Parts
from generator.render.alertmanager.inhibitions import Data
from generator.text.yaml_text import Plain, emit

NOBODY = "freezeline-nobody"
MATCHING = ("match", "match_re", "matchers")


class Merged(Struct, frozen=True, kw_only=True):
    """The new text; `document` is the user's part of the file, which stands in the text unchanged."""

    text: str
    document: Document


def users_part(name: str, text: str, problems: Problems) -> Document | None:
    """The configuration `text` without Freezeline's parts; None after a problem (reported)."""
    lines = without_ours(name, split(without_bom(text)[1]), problems)
    return None if lines is None else read(name, lines, problems)


def merge(name: str, text: str, parts: Parts, problems: Problems) -> Merged | None:
    """The configuration `text` with `parts` added; None after a problem (reported).

    Freezeline's routes come first. The user's part must not have a receiver or mute time of the same name.
    """
    document = users_part(name, text, problems)
    if document is None:
        return None
    edits = Edits(document, problems)
    errors = len(problems.errors)
    _apply(edits, parts)
    if len(problems.errors) > errors:
        return None
    merged = edits.result()
    if not _means(merged, _expected(document.data, parts)):
        problems.add(
            "merge/failed",
            Position(name),
            "Freezeline cannot add its parts to this file without changing other settings",
            "add Freezeline's parts by hand: `freezeline generate` writes them to rules/alertmanager/",
        )
        return None
    return Merged(text=without_bom(text)[0] + merged, document=document)


def remove(name: str, text: str, problems: Problems) -> str | None:
    """The configuration without Freezeline's parts; None if a mark is missing (reported)."""
    bom, rest = without_bom(text)
    kept = without_ours(name, split(rest), problems)
    return None if kept is None else bom + join(kept)


def _fallback(before: Mapping[str, Text]) -> list[Data]:
    """The routes at the end of the user's list that keep the meaning of the list.

    An alert that matches only routes with `continue` never reaches the root's receiver: routes with the same matchers
    stop it.
    """
    root = mapping(before["route"])
    there = mappings(root.get("routes"))
    if any(not is_true(route.get("continue")) and not any(route.get(key) for key in MATCHING) for route in there):
        return []  # the user already has a last route that matches everything
    stops: list[Data] = [
        {"receiver": NOBODY, **{key: route[key] for key in MATCHING if route.get(key)}}
        for route in there
        if is_true(route.get("continue"))
    ]
    return [*stops, {"receiver": root["receiver"]}]


def _receivers(before: Mapping[str, Text], parts: Parts) -> list[Data]:
    needed: list[Data] = [{"name": NOBODY}] if any(one["receiver"] == NOBODY for one in _fallback(before)) else []
    return [*parts.receivers, *needed]


def _apply(edits: Edits, parts: Parts) -> None:
    root, before = edits.document.root, edits.document.data
    route = entry(root, "route")
    if route is None or not isinstance(route[1], yaml.MappingNode) or not _has_receiver(before):
        hint = "add `route:` with a `receiver:`"
        edits.fail("merge/no-route", root, "the configuration has no route", hint)
        return
    receivers = _receivers(before, parts)
    _check_names(edits, "receivers", [str(receiver["name"]) for receiver in receivers])
    for key in ("time_intervals", "mute_time_intervals"):
        _check_names(edits, key, [str(interval["name"]) for interval in parts.time_intervals])
    edits.surround(route[1], "routes", parts.routes, _fallback(before))
    edits.prepend(root, "receivers", receivers)
    edits.prepend(root, "inhibit_rules", parts.inhibit_rules)
    edits.prepend(root, "time_intervals", parts.time_intervals)
    edits.prepend(root, "templates", _new_templates(before, parts))
    mail = _new_mail(before, parts)
    if mail:
        edits.add_keys("global", mail)


def _has_receiver(before: Mapping[str, Text]) -> bool:
    route = mapping(before.get("route"))
    routes = route.get("routes") or []
    return isinstance(route.get("receiver"), str) and len(mappings(routes)) == len(routes)


def _check_names(edits: Edits, key: str, ours: Sequence[str]) -> None:
    for item in items(edits.document.root, key):
        name = entry(item, "name")
        if name is not None and isinstance(name[1], yaml.ScalarNode) and name[1].value in ours:
            hint = f"rename {name[1].value}, or remove it if it was copied from a generated file"
            message = f"{key} already has the name {name[1].value}, which Freezeline adds"
            edits.fail("merge/name", name[1], message, hint)


def _new_templates(before: Mapping[str, Text], parts: Parts) -> list[str]:
    there = before.get("templates") or []
    return [template for template in parts.templates if template not in there]


def _new_mail(before: Mapping[str, Text], parts: Parts) -> dict[str, Plain]:
    """Mail settings that Freezeline's receivers need; only those that the user's mail server lacks."""
    there = mapping(before.get("global"))
    wanted = ("smtp_from",) if "smtp_smarthost" in there else tuple(parts.mail)
    return {key: value for key, value in parts.mail.items() if key in wanted and key not in there}


def _expected(before: Mapping[str, Text], parts: Parts) -> dict[str, Text]:
    """The data that the merged file must hold."""
    after: dict[str, Text] = copy.deepcopy(dict(before))
    route = mapping(after["route"])
    route["routes"] = [*_texts(parts.routes), *mappings(route.get("routes")), *_texts(_fallback(before))]
    lists: Mapping[str, Sequence[Plain]] = {
        "receivers": _receivers(before, parts),
        "inhibit_rules": parts.inhibit_rules,
        "time_intervals": parts.time_intervals,
        "templates": _new_templates(before, parts),
    }
    for key, added in lists.items():
        there = after.get(key) or []
        if added:
            after[key] = [*_texts(added), *(there if isinstance(there, list) else [there])]
    for key, value in _new_mail(before, parts).items():
        after["global"] = {**mapping(after.get("global")), key: _texts([value])[0]}
    return after


class AddedTexts(Struct, frozen=True, kw_only=True):
    """The routes and receivers that a merge adds, as Alertmanager reads them."""

    first: list[dict[str, Text]]
    last: list[dict[str, Text]]
    receivers: list[dict[str, Text]]


def added_texts(document: Document, parts: Parts) -> AddedTexts:
    """What a merge of this document adds. The document must be one that `merge` takes."""
    return AddedTexts(
        first=mappings(_texts(parts.routes)),
        last=mappings(_texts(_fallback(document.data))),
        receivers=mappings(_texts(_receivers(document.data, parts))),
    )


def _texts(data: Sequence[Plain]) -> list[Text]:
    """Freezeline's data as Alertmanager reads it: with every scalar as text."""
    if not data:
        return []
    document = read("", split("\n".join(["data:", *emit(data, "  ")])), Problems())
    found = document.data["data"] if document is not None else None
    if not isinstance(found, list):
        raise TypeError("Freezeline's own data was not read back")
    return found


def _means(text: str, expected: Mapping[str, Text]) -> bool:
    found = read("", split(text), Problems())
    return found is not None and found.data == expected
