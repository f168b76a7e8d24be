"""Prometheus rule files as data: groups of rules, each with its place in the spec."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from msgspec import Struct, field

from freezeline.problems import Position
from generator.text import yaml_text
from generator.units import duration_text


class Rule(Struct, frozen=True, kw_only=True):
    """A recording rule (`record`) or an alert (`alert`). `expr` may have several lines."""

    record: str = ""
    alert: str = ""
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    for_ms: int = 0
    origin: Position | None = None  # None for rules that all SLOs share

    @property
    def name(self) -> str:
        """The recorded name, or the alert's name."""
        return self.record or self.alert


class Group(Struct, frozen=True, kw_only=True):
    """Rules that are evaluated together, in order, each `interval_ms`. `options` are fields that one engine knows."""

    name: str
    interval_ms: int
    rules: tuple[Rule, ...]
    options: Mapping[str, yaml_text.Plain] = field(default_factory=dict)


class RuleFile(Struct, frozen=True, kw_only=True):
    """One rule file. `anchored` names annotations that several alerts share: text → YAML anchor.

    `namespace` is where cortextool and mimirtool upload the groups.
    """

    path: str
    header: str
    groups: tuple[Group, ...]
    anchored: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""

    def anchors(self) -> yaml_text.Anchors:
        """The anchors of a YAML document with these rules."""
        rules = (rule for group in self.groups for rule in group.rules if rule.annotations)
        return yaml_text.Anchors(self.anchored, (text for rule in rules for text in rule.annotations.values()))

    def text(self) -> tuple[str, list[tuple[int, Position]]]:
        """The file's text, and the places in the spec with the first line of each."""
        content, origins = self.content()
        return content.decode(), origins

    def content(self) -> tuple[bytes, list[tuple[int, Position]]]:
        """The file's bytes, and the places in the spec with the first line of each.

        Written rule by rule: the lines of thousands of SLOs in one list would take four times the memory of the file.
        """
        out = BytesIO()
        origins: list[tuple[int, Position]] = []
        known: dict[int, list[str]] = {}
        anchors = self.anchors() if self.anchored else None
        head = [f"# {line}".rstrip() for line in self.header.splitlines()]
        if self.namespace:
            head.append(f"namespace: {yaml_text.scalar(self.namespace)}")
        written = _write(out, [*head, "groups:" if self.groups else "groups: []"])
        for group in self.groups:
            name, interval = yaml_text.scalar(group.name), duration_text(group.interval_ms)
            options = yaml_text.emit(group.options, "    ") if group.options else []
            written += _write(out, [f"  - name: {name}", f"    interval: {interval}", *options, "    rules:"])
            for rule in group.rules:
                if rule.origin is not None:
                    origins.append((written + 1, rule.origin))
                written += _write(out, rule_lines(rule, known, anchors))
        return out.getvalue(), origins


def _write(out: BytesIO, lines: list[str]) -> int:
    """Append lines; how many."""
    out.write("\n".join([*lines, ""]).encode())
    return len(lines)


_INDENT = " " * 8


def rule_lines(
    rule: Rule, known: dict[int, list[str]] | None = None, anchors: yaml_text.Anchors | None = None
) -> list[str]:
    """One rule as the lines of a YAML list item. `known` holds the lines of labels that several rules share."""
    kind = "record" if rule.record else "alert"
    lines = [f"      - {kind}: {yaml_text.scalar(rule.name)}", *yaml_text.entry("expr", rule.expr, _INDENT)]
    if rule.for_ms:
        lines.append(f"{_INDENT}for: {duration_text(rule.for_ms)}")
    if rule.labels:
        labels = known.get(id(rule.labels)) if known is not None else None
        if labels is None:
            labels = _entries("labels", rule.labels)
            if known is not None:
                known[id(rule.labels)] = labels
        lines += labels
    if rule.annotations:
        lines += _entries("annotations", rule.annotations, anchors)
    return lines


def _entries(key: str, values: Mapping[str, str], anchors: yaml_text.Anchors | None = None) -> list[str]:
    lines = [f"{_INDENT}{key}:"]
    for name, value in values.items():
        lines += yaml_text.entry(name, value, _INDENT + "  ", anchors)
    return lines


def as_data(file: RuleFile) -> dict[str, object]:
    """The file as plain data, for other wrappings such as a PrometheusRule."""
    return {"groups": [_group_data(group) for group in file.groups]}


def _group_data(group: Group) -> dict[str, object]:
    return {
        "name": group.name,
        "interval": duration_text(group.interval_ms),
        **group.options,
        "rules": [_rule_data(rule) for rule in group.rules],
    }


def _rule_data(rule: Rule) -> dict[str, object]:
    data: dict[str, object] = {"record" if rule.record else "alert": rule.name, "expr": rule.expr}
    if rule.for_ms:
        data["for"] = duration_text(rule.for_ms)
    if rule.labels:
        data["labels"] = dict(rule.labels)
    if rule.annotations:
        data["annotations"] = dict(rule.annotations)
    return data
