"""Adds Freezeline's routes and receivers to an existing Alertmanager configuration, and keeps every other byte.

The added lines stand between marks: the next merge replaces them, and `remove` takes them out. The result is checked by
reading it back: the user's data with Freezeline's added, and nothing else.

Alertmanager uses the root's receiver only if no route matches. Freezeline's route matches every alert, so the merge
writes the root's receiver out as the last route (`_fallback`). Without that route, alerts that no route of the user
matches would reach only Freezeline's receiver.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from msgspec import Struct, field

from freezeline.problems import Position, Problems
from generator.render.alertmanager.alertmanager import Parts
from generator.text.yaml_text import Plain, emit

NOBODY = "freezeline-nobody"
BEGIN = "# >>> freezeline: generated, do not edit between the marks"
END = "# <<< freezeline"
_BEGIN_MARK = "# >>> freezeline"
_IN_BRACKETS = re.compile(r"^(templates: *\[)'[^']*freezeline\.tmpl', ")


class _Insertion(Struct, frozen=True, kw_only=True):
    """Lines to add before the line of this index."""

    line: int
    lines: list[str]


class _Merge(Struct):
    """One merge: the user's lines, their YAML nodes, and the lines to insert."""

    name: str
    lines: list[str]
    root: yaml.MappingNode
    problems: Problems
    insertions: list[_Insertion] = field(default_factory=list)
    appended: list[str] = field(default_factory=list)  # new sections, for the end of the file

    def fail(self, code: str, node: yaml.Node | None, message: str, hint: str) -> None:
        mark = node.start_mark if node is not None else None
        position = Position(self.name, mark.line + 1, mark.column + 1) if mark is not None else Position(self.name)
        self.problems.add(code, position, message, hint)

    def entry(self, mapping: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
        """Key and value nodes of an entry of a mapping."""
        if isinstance(mapping, yaml.MappingNode):
            for key_node, value_node in mapping.value:
                if isinstance(key_node, yaml.ScalarNode) and key_node.value == key:
                    return key_node, value_node
        return None

    def prepend(self, parent: yaml.MappingNode, key: str, items: Sequence[Plain]) -> None:
        """Insert items before those of the list `key`; make the list if it is missing."""
        if not items:
            return
        found = self.entry(parent, key)
        if found is None:
            self._add_key(parent, key, items)
            return
        key_node, value = found
        empty = isinstance(value, yaml.ScalarNode) and value.tag == "tag:yaml.org,2002:null"
        if not empty and not isinstance(value, yaml.SequenceNode):
            self.fail(
                "merge/type", value, f"{key} is not a list", "correct the file: `amtool check-config` names the error"
            )
            return
        line = key_node.start_mark.line
        column = key_node.start_mark.column + 2
        if isinstance(value, yaml.SequenceNode) and value.flow_style:
            if value.value and key == "templates":
                # A list of file names is usually in brackets; `_IN_BRACKETS` finds Freezeline's items again.
                start, names = value.start_mark, "".join(f"'{item}', " for item in items)
                text = self.lines[start.line]
                self.lines[start.line] = text[: start.column + 1] + names + text[start.column + 1 :]
                return
            if value.value or value.start_mark.line != value.end_mark.line:
                self.fail(
                    "merge/flow",
                    value,
                    f"{key} is a list in brackets",
                    "write the list with one `- ` line for each item",
                )
                return
            text = self.lines[line]
            self.lines[line] = (text[: value.start_mark.column].rstrip() + text[value.end_mark.column :]).rstrip(" ")
        elif isinstance(value, yaml.SequenceNode):
            column = value.start_mark.column
        self._insert(line + 1, column, emit(items))

    def surround(self, parent: yaml.MappingNode, key: str, first: Sequence[Plain], last: Sequence[Plain]) -> None:
        """Insert items before and after those of the list `key`."""
        found = self.entry(parent, key)
        if found is None or not isinstance(found[1], yaml.SequenceNode) or found[1].flow_style:
            self.prepend(parent, key, [*first, *last])
            return
        self.prepend(parent, key, first)
        if last:
            self._insert(_last_line(found[1]) + 1, found[1].start_mark.column, emit(last))

    def _add_key(self, parent: yaml.MappingNode, key: str, items: Plain) -> None:
        """A new list or mapping, at the end of the file or at the top of the mapping around it."""
        body = [f"{key}:", *emit(items, "  ")]
        if parent is self.root:
            self.appended += [BEGIN, *body, END]
        else:
            self._insert_at_top(parent, body)

    def _insert_at_top(self, mapping: yaml.Node, body: Sequence[str]) -> None:
        """Insert before the first key of a top-level section, and before the comments above that key."""
        key_node = next(key for key, value in self.root.value if value is mapping)
        if not isinstance(mapping, yaml.MappingNode) or mapping.flow_style or not mapping.value:
            hint = "write the section with one line for each key"
            self.fail("merge/flow", mapping, f"the section {key_node.value} is written in brackets", hint)
        else:
            self._insert(key_node.start_mark.line + 1, mapping.value[0][0].start_mark.column, body)

    def add_keys(self, key: str, values: Mapping[str, Plain]) -> None:
        """Add the keys that a top-level mapping lacks."""
        found = self.entry(self.root, key)
        if found is None:
            self._add_key(self.root, key, values)
            return
        mapping = found[1]
        missing = {name: value for name, value in values.items() if self.entry(mapping, name) is None}
        if missing:
            self._insert_at_top(mapping, emit(missing))

    def _insert(self, line: int, column: int, body: Sequence[str]) -> None:
        indent = " " * column
        self.insertions.append(_Insertion(line=line, lines=[indent + text for text in (BEGIN, *body, END)]))

    def text(self, newline: str) -> str:
        """The user's lines with Freezeline's."""
        lines = list(self.lines)
        if self.appended and lines and lines[-1] == "":
            lines.pop()
        for insertion in sorted(self.insertions, key=lambda one: one.line, reverse=True):
            lines[insertion.line : insertion.line] = insertion.lines
        lines += [*self.appended, ""] if self.appended else []
        return newline.join(lines)


def _last_line(node: yaml.Node) -> int:
    """The last line that belongs to a node, without comments and blank lines after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        return max(_last_line(part) for part in parts)
    if node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line:
        return int(node.end_mark.line) - 1  # a block scalar ends where the next line begins
    return int(node.end_mark.line)


def merge(name: str, text: str, parts: Parts, problems: Problems) -> str | None:
    """The configuration `text` with `parts` added; None after a problem (reported).

    Freezeline's routes come first. The user's part must not have a receiver or mute time of the same name.
    """
    cleaned = remove(name, text, problems)
    if cleaned is None:
        return None
    newline = "\r\n" if "\r\n" in cleaned else "\n"
    try:
        root = yaml.compose(cleaned, Loader=yaml.CSafeLoader)
        before = yaml.load(cleaned, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = Position(name, mark.line + 1, mark.column + 1) if mark else Position(name)
        problems.add(
            "merge/yaml",
            position,
            "the configuration is not valid YAML",
            "run `amtool check-config`: the tool names the error",
        )
        return None
    if not isinstance(root, yaml.MappingNode) or not isinstance(before, dict):
        problems.add(
            "merge/type",
            Position(name),
            "the file is not an Alertmanager configuration",
            "add `route:` and `receivers:`, or name Alertmanager's configuration file",
        )
        return None
    work = _Merge(name, cleaned.split(newline), root, problems)
    errors = len(problems.errors)
    _apply(work, before, parts)
    if len(problems.errors) > errors:
        return None
    merged = work.text(newline)
    if not _means(merged, _expected(before, parts)):
        hint = "add Freezeline's parts by hand: `freezeline generate` writes them to rules/alertmanager/"
        problems.add(
            "merge/failed",
            Position(name),
            "Freezeline cannot add its parts to this file without changing other settings",
            hint,
        )
        return None
    return merged


def remove(name: str, text: str, problems: Problems) -> str | None:
    """The configuration without the lines of an earlier merge; None if its marks do not pair (reported)."""
    kept: list[str] = []
    opened = 0
    for number, line in enumerate(text.split("\n"), start=1):
        word = line.strip()
        if word.startswith(_BEGIN_MARK) and not opened:
            opened = number
        elif word == END and opened:
            opened = 0
        elif word == END or word.startswith(_BEGIN_MARK):
            hint = "write both marks `{BEGIN}` and `{END}`, or remove Freezeline's lines by hand"
            problems.add("merge/marks", Position(name, number), "a mark of Freezeline has no matching mark", hint)
            return None
        elif not opened:
            kept.append(_IN_BRACKETS.sub(r"\1", line))
    if opened:
        hint = f"write `{END}` after the block, or remove Freezeline's lines by hand"
        problems.add("merge/marks", Position(name, opened), "the block of Freezeline that begins here has no end", hint)
        return None
    return "\n".join(kept)


def _fallback(before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The routes at the end of the user's list that keep the meaning of the list.

    An alert that matches only routes with `continue` never reaches the root's receiver: routes with the same matchers
    stop it.
    """
    there: list[Mapping[str, Any]] = before["route"].get("routes") or []
    matching = ("match", "match_re", "matchers")
    if any(not route.get("continue") and not any(route.get(key) for key in matching) for route in there):
        return []  # the user already has a last route that matches everything
    stops = [
        {"receiver": NOBODY, **{key: route[key] for key in matching if route.get(key)}}
        for route in there
        if route.get("continue")
    ]
    return [*stops, {"receiver": before["route"]["receiver"]}]


def _receivers(before: Mapping[str, Any], parts: Parts) -> list[dict[str, Any]]:
    needed = [{"name": NOBODY}] if any(route["receiver"] == NOBODY for route in _fallback(before)) else []
    return [*parts.receivers, *needed]


def _apply(work: _Merge, before: Mapping[str, Any], parts: Parts) -> None:
    route = work.entry(work.root, "route")
    if route is None or not isinstance(route[1], yaml.MappingNode) or not _has_receiver(before):
        hint = "add `route:` with a `receiver:`"
        work.fail("merge/no-route", work.root, "the configuration has no route", hint)
        return
    receivers = _receivers(before, parts)
    _check_names(work, "receivers", [str(receiver["name"]) for receiver in receivers])
    for key in ("time_intervals", "mute_time_intervals"):
        _check_names(work, key, [str(interval["name"]) for interval in parts.time_intervals])
    work.surround(route[1], "routes", parts.routes, _fallback(before))
    work.prepend(work.root, "receivers", receivers)
    work.prepend(work.root, "inhibit_rules", parts.inhibit_rules)
    work.prepend(work.root, "time_intervals", parts.time_intervals)
    work.prepend(work.root, "templates", _new_templates(before, parts))
    mail = _new_mail(before, parts)
    if mail:
        work.add_keys("global", mail)


def _has_receiver(before: Mapping[str, Any]) -> bool:
    route = before.get("route")
    if not isinstance(route, dict) or not isinstance(route.get("receiver"), str):
        return False
    return all(isinstance(one, dict) for one in route.get("routes") or [])


def _check_names(work: _Merge, key: str, ours: Sequence[str]) -> None:
    found = work.entry(work.root, key)
    if found is None or not isinstance(found[1], yaml.SequenceNode):
        return
    for item in found[1].value:
        name = work.entry(item, "name")
        if name is not None and isinstance(name[1], yaml.ScalarNode) and name[1].value in ours:
            hint = f"rename {name[1].value}, or remove it if it was copied from a generated file"
            work.fail("merge/name", name[1], f"{key} already has the name {name[1].value}, which Freezeline adds", hint)


def _new_templates(before: Mapping[str, Any], parts: Parts) -> list[str]:
    there = before.get("templates") or []
    return [template for template in parts.templates if template not in there]


def _new_mail(before: Mapping[str, Any], parts: Parts) -> dict[str, Plain]:
    """Mail settings that Freezeline's receivers need; only those that the user's mail server lacks."""
    there = before.get("global") or {}
    wanted = ("smtp_from",) if "smtp_smarthost" in there else tuple(parts.mail)
    return {key: value for key, value in parts.mail.items() if key in wanted and key not in there}


def _expected(before: Mapping[str, Any], parts: Parts) -> dict[str, Any]:
    """The data that the merged file must hold."""
    after: dict[str, Any] = copy.deepcopy(dict(before))
    after["route"]["routes"] = [*parts.routes, *(after["route"].get("routes") or []), *_fallback(before)]
    lists = {
        "receivers": _receivers(before, parts),
        "inhibit_rules": parts.inhibit_rules,
        "time_intervals": parts.time_intervals,
        "templates": _new_templates(before, parts),
    }
    for key, items in lists.items():
        if items:
            after[key] = [*items, *(after.get(key) or [])]
    mail = _new_mail(before, parts)
    if mail:
        after["global"] = {**(after.get("global") or {}), **mail}
    return after


def _means(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        found: object = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return False
    return found == expected
