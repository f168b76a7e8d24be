"""An existing configuration as Alertmanager reads it: each scalar is the text that stands in the file.

Alertmanager reads values into fields of known types, so `yes`, `1.10`, `010` and `2024-13-45` are texts where a label's
value is expected. Only the first document of a file counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import yaml
from msgspec import Struct, field

from freezeline.problems import Position, Problems
from generator.existing.lines import Line, join
from generator.reading.source import Composer, too_deep

Text = None | str | list["Text"] | dict[str, "Text"]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"y", "yes", "true", "on"})
MAX_NODES = 100_000  # aliases repeat nodes
_CHECK = "run `amtool check-config`: the tool names the error"


class Document(Struct, frozen=True, kw_only=True):
    """The first YAML document of a file: its nodes, its data, and the line before which new sections may stand."""

    name: str
    lines: list[Line]
    root: yaml.MappingNode
    data: dict[str, Text]
    end: int

    def position(self, node: yaml.Node) -> Position:
        """The place of a node in the file on disk."""
        mark = node.start_mark
        return _position(self.name, self.lines, mark.line, mark.column)


def _position(name: str, lines: Sequence[Line], line: int, column: int) -> Position:
    if line < len(lines):
        return Position(name, lines[line].number, column + 1)
    return Position(name, lines[-1].number if lines else 1)


def read(name: str, lines: list[Line], problems: Problems) -> Document | None:
    """The document in these lines; None after a problem (reported)."""
    text = join(lines)
    if (deep := too_deep(name, text)) is not None:
        hint = "close brackets, or remove levels of indentation"
        position = _position(name, lines, deep.line - 1, deep.column - 1)
        problems.add("merge/yaml", position, "the configuration is nested too deep", hint)
        return None
    try:
        parser = Composer(text)
        root = parser.get_node() if parser.check_node() else None
        end = _end(text)
        data = _Builder(name=name, lines=lines).build(root) if isinstance(root, yaml.MappingNode) else None
    except _MeaninglessError as error:
        problems.add("merge/yaml", error.position, error.message, _CHECK)
        return None
    except (yaml.YAMLError, ValueError) as error:  # libyaml gives ValueError for a text that cannot be encoded
        mark = getattr(error, "problem_mark", None)
        position = _position(name, lines, mark.line, mark.column) if mark is not None else Position(name)
        problems.add("merge/yaml", position, "the configuration is not valid YAML", _CHECK)
        return None
    if not isinstance(root, yaml.MappingNode) or not isinstance(data, dict):
        problems.add(
            "merge/type",
            Position(name),
            "the file is not an Alertmanager configuration",
            "add `route:` and `receivers:`, or name Alertmanager's configuration file",
        )
        return None
    return Document(name=name, lines=lines, root=root, data=data, end=end)


def _end(text: str) -> int:
    """The line of the first document's end: of `...`, of the next document's `---`, or after the last line."""
    parser = yaml.CBaseLoader(text)
    while parser.check_event():
        event = parser.get_event()
        if isinstance(event, yaml.DocumentEndEvent) and event.start_mark is not None:
            return int(event.start_mark.line)
    return 0


class _MeaninglessError(Exception):
    """Valid YAML that Alertmanager refuses."""

    def __init__(self, position: Position, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.message = message


class _Builder(Struct, kw_only=True):
    """Turns nodes into data, and counts them: aliases may neither repeat too much nor contain themselves."""

    name: str
    lines: list[Line]
    count: int = 0
    around: set[int] = field(default_factory=set)  # the nodes that hold the present node

    def build(self, node: yaml.Node) -> Text:
        self.count += 1
        if self.count > MAX_NODES or id(node) in self.around:
            self._refuse(node, "the aliases of this file add too many nodes, or contain themselves")
        if isinstance(node, yaml.ScalarNode):
            return None if node.tag == "plain" and node.value in _NULL else str(node.value)
        self.around.add(id(node))
        found: Text = (
            [self.build(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else self._mapping(node)
        )
        self.around.remove(id(node))
        return found

    def _mapping(self, node: yaml.Node) -> dict[str, Text]:
        found: dict[str, Text] = {}
        merged: dict[str, Text] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(key_node, "a key is not a text")
            elif key_node.value == "<<" and key_node.tag == "plain":
                merged = self._merged(value_node) | merged
            elif key_node.value in found:
                self._refuse(key_node, f"the key {key_node.value} stands twice")
            else:
                found[key_node.value] = self.build(value_node)
        return merged | found

    def _merged(self, node: yaml.Node) -> dict[str, Text]:
        """The keys that `<<` brings; the first mapping of a list wins."""
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        found: dict[str, Text] = {}
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node, "`<<` names no mapping")
        for item in node.value:
            if not isinstance(item, yaml.MappingNode):
                self._refuse(item, "`<<` names no mapping")
            found = self._mapping(item) | found
        return found

    def _refuse(self, node: yaml.Node, message: str) -> NoReturn:
        raise _MeaninglessError(_position(self.name, self.lines, node.start_mark.line, node.start_mark.column), message)


def entry(mapping: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Key and value nodes of an entry of a mapping."""
    if isinstance(mapping, yaml.MappingNode):
        for key_node, value_node in mapping.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value == key:
                return key_node, value_node
    return None


def items(mapping: yaml.Node, key: str) -> list[yaml.Node]:
    """The nodes of the list `key` of a mapping; empty if there is no such list."""
    found = entry(mapping, key)
    return list(found[1].value) if found is not None and isinstance(found[1], yaml.SequenceNode) else []


def is_true(value: Text) -> bool:
    """Whether Alertmanager reads this text as true, where a boolean is expected."""
    return isinstance(value, str) and value.lower() in _TRUE


def mappings(value: Text) -> list[dict[str, Text]]:
    """The mappings of a list; empty if the value is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def mapping(value: Text) -> dict[str, Text]:
    """The value as a mapping; empty if the value is none."""
    return value if isinstance(value, dict) else {}
