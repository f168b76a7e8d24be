"""YAML text with positions: the only module that knows the YAML library.

Freezeline reads only the scalars of YAML 1.2's core schema. `on`, `yes` and `10:00` are texts, only `true` and `false`
are booleans, and numbers are exact. Duplicate keys, merge keys, tags and second documents are problems.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

import yaml
from msgspec import Struct, field

from freezeline.problems import Position, Problems

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_ALIAS_NODES = 10_000

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
# Sixteen list items or keys opened on one line. Possessive quantifiers keep the search linear in the number of blanks.
_MANY_ON_ONE_LINE = re.compile(r"(?m)^[ \t]*+(?:[-?:][ \t]++){16}")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

Scalar = str | int | Decimal | bool | None


class Value(Struct, frozen=True):
    """One YAML node: its position, and its content (a scalar, a tuple of values, or a mapping of entries)."""

    position: Position
    content: Scalar | tuple[Value, ...] | Mapping[str, Entry]
    text: str = ""  # the scalar's text in the file


class Entry(Struct, frozen=True):
    """One entry of a mapping: the key's position, and the value."""

    key_position: Position
    value: Value


def place(value: Value, *path: str) -> Position:
    """Position of the value at a path of keys; if the path ends early, position of the last value found."""
    for key in path:
        entry = value.content.get(key) if isinstance(value.content, dict) else None
        if entry is None:
            break
        value = entry.value
    return value.position


class Source(Struct, frozen=True):
    """A spec's text and its YAML tree. `lines` shows the source line of a problem."""

    name: str
    text: str
    root: Value | None

    @property
    def lines(self) -> list[str]:
        """The text by line, split as YAML splits lines."""
        return _lines(self.text)


@lru_cache(maxsize=64)
def _lines(text: str) -> list[str]:
    """Split the text once, however many problems the file has."""
    return text.split("\n")


class Composer(yaml.CBaseLoader):
    """libyaml's composer without tag resolution: `_resolve_scalar` resolves scalars."""

    def resolve(self, _kind: object, _value: object, implicit: object) -> str:
        """`plain` for a scalar without quotes and tag, which may mean something else than text."""
        return "plain" if isinstance(implicit, tuple) and implicit[0] else "text"

    def descend_resolver(self, _parent: object, _index: object) -> None:
        """Do nothing: the library calls this method around each node, and there is no tag to resolve."""

    def ascend_resolver(self) -> None:
        """Do nothing: as `descend_resolver`."""


def read_source(name: str, data: bytes, problems: Problems) -> Source:
    """The YAML tree of one file. For a file that cannot be read, a problem says why, and `root` is None."""
    start = Position(name)
    if len(data) > MAX_BYTES:
        problems.add(
            "source/too-large",
            start,
            f"the file has {len(data)} bytes, more than Freezeline reads",
            f"split the file into files of at most {MAX_BYTES} bytes",
        )
        return Source(name=name, text="", root=None)
    data = data.removeprefix(BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problems.add("source/encoding", Position(name, line, column), "the file is not UTF-8", "save the file as UTF-8")
        return Source(name=name, text="", root=None)
    return Source(name=name, text=text, root=_compose(name, text, problems))


def _yaml_hint(error: yaml.MarkedYAMLError) -> str:
    """What to type where libyaml stopped: the correction that its message most often asks for."""
    opened = f" that line {error.context_mark.line + 1} opens" if error.context_mark is not None else ""
    match str(error.problem):
        case "found unexpected end of stream":
            return f"close the quote{opened}"
        case "did not find expected ',' or ']'" | "did not find expected ',' or '}'":
            return f"close the bracket{opened}, or write a comma between its items"
        case "found character that cannot start any token" | "found a tab character that violates indentation":
            return "write spaces instead of a tab; write a value that begins with @, ` or % in quotes"
        case "mapping values are not allowed in this context":
            return "indent the line like its neighbours; write a value that contains `: ` in quotes"
        case "found undefined alias":
            return (
                "write the value itself, or mark another value with `&name`; write a text that begins with * in quotes"
            )
        case "could not find expected ':'":
            return "write `key: value` on this line, or indent the line further"
        case "did not find expected key" | "did not find expected '-' indicator":
            return "indent the line like its neighbours; write no text after a closing quote"
        case _:
            return "compare the indentation, quotes and brackets with the line above"


def read_documents(name: str, data: bytes, problems: Problems) -> tuple[Source, tuple[Value, ...]]:
    """The source and every YAML document of a file that may hold several, as Kubernetes tools write them.

    Problems are reported. A file without any document gives an empty tuple.
    """
    one_by_one = Problems()
    source = read_source(name, data, one_by_one)
    if not any(problem.code in ("source/documents", "source/empty") for problem in one_by_one):
        problems.extend(one_by_one)
        return source, () if source.root is None else (source.root,)
    text = data.removeprefix(BOM_UTF8).decode()
    parser, found = Composer(text), []
    try:
        while parser.check_node():
            node = parser.get_node()
            value = _Builder(name, problems).build(node) if node is not None else None
            if value is not None and value.content is not None:
                found.append(value)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = Position(name, mark.line + 1, mark.column + 1) if mark is not None else Position(name)
        message = str(error.problem or error.context)
        problems.add("source/yaml", position, f"not valid YAML: {message}", _yaml_hint(error))
    return Source(name=name, text=text, root=None), tuple(found)


def _compose(name: str, text: str, problems: Problems) -> Value | None:
    depth_position = too_deep(name, text)
    if depth_position is not None:
        message = f"the document is nested more than {MAX_DEPTH} levels deep"
        problems.add("source/too-deep", depth_position, message, "close brackets, or remove levels of indentation")
        return None
    try:
        parser = Composer(text)
        node = parser.get_single_node()
    except yaml.MarkedYAMLError as error:
        position = Position(name)
        for mark in (error.context_mark, error.problem_mark):
            if mark is not None:
                position = Position(name, mark.line + 1, mark.column + 1)
        message = " ".join(part for part in (error.context, error.problem) if part)
        if "single document" in message:
            hint = "write one spec in each file: move the part after `---` into a file of its own"
            problems.add("source/documents", position, "the file holds more than one YAML document", hint)
        else:
            problems.add("source/yaml", position, f"not valid YAML: {message}", _yaml_hint(error))
        return None
    except yaml.reader.ReaderError as error:
        position = _position_at(name, text, error.position)
        problems.add("source/yaml", position, "YAML does not allow this character", "remove the character")
        return None
    except ValueError as error:  # libyaml gives this for text that cannot be encoded
        problems.add(
            "source/yaml", Position(name), f"not valid YAML: {error}", "remove the characters that are not text"
        )
        return None
    if node is None:
        problems.add("source/empty", Position(name), "the file is empty", "start with apiVersion: freezeline/v1")
        return None
    return _Builder(name, problems).build(node)


def _position_at(name: str, text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(name, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def too_deep(name: str, text: str) -> Position | None:
    """Where the nesting passes the limit. The search does not recurse, because libyaml composes recursively, in C."""
    if not _may_be_deep(text):
        return None
    depth = 0
    try:
        parser = yaml.CBaseLoader(text)
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                depth += 1
                mark = event.start_mark
                if depth > MAX_DEPTH and mark is not None:
                    return Position(name, mark.line + 1, mark.column + 1)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                depth -= 1
    except (yaml.YAMLError, ValueError):
        return None  # the composer reports the error with its position
    return None


def _may_be_deep(text: str) -> bool:
    """Whether the text could nest beyond the limit at all. The test is cheap, and true only for unusual files.

    Each level needs an opening bracket, more indentation than the level before, or a `- ` or `? ` on the same line.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH:
        brackets = deepest = 0
        for char in re.findall(r"[\[\]{}]", text):
            brackets = brackets + 1 if char in "[{" else max(brackets - 1, 0)
            deepest = max(deepest, brackets)
        if deepest > MAX_DEPTH // 2:
            return True
    if " " * (MAX_DEPTH // 2) in text and re.search(rf"(?m)^ {{{MAX_DEPTH // 2},}}", text):
        return True
    return _MANY_ON_ONE_LINE.search(text) is not None


class _Builder(Struct):
    """Turns the library's nodes into `Value`s, each node once however often an alias repeats the node."""

    name: str
    problems: Problems
    built: dict[int, Value] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    alias_nodes: int = 0
    overflow: bool = False

    def build(self, node: yaml.Node) -> Value | None:
        value = self._value(node)
        return None if self.overflow else value

    def _position(self, mark: yaml.Mark) -> Position:
        return Position(self.name, mark.line + 1, mark.column + 1)

    def _value(self, node: yaml.Node) -> Value:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        key = id(node)
        known = self.built.get(key)
        if known is not None:
            self._count_alias(node, key)
            return known
        position = self._position(node.start_mark)
        # An alias inside its own anchor meets this placeholder, and the recursion ends.
        self.built[key] = Value(position, None)
        self.sizes[key] = MAX_ALIAS_NODES
        value = self._fresh(node, position)
        self.built[key] = value
        return value

    def _count_alias(self, node: yaml.Node, key: int) -> None:
        self.alias_nodes += self.sizes[key]
        if self.alias_nodes >= MAX_ALIAS_NODES and not self.overflow:
            self.overflow = True
            hint = (
                f"write the repeated part out: aliases may add {MAX_ALIAS_NODES} nodes, and may not contain themselves"
            )
            self.problems.add(
                "source/aliases", self._position(node.start_mark), "the aliases of this file add too many nodes", hint
            )

    def _scalar(self, node: yaml.ScalarNode) -> Value:
        """A scalar's value. An alias of a scalar adds one node, therefore scalars are neither kept nor counted."""
        text, tag, mark = node.value, node.tag, node.start_mark
        position = Position(self.name, mark.line + 1, mark.column + 1)
        if tag == "plain":
            return Value(position, _resolve_plain(text), text)
        if tag != "text":
            self._unknown_tag(node, position)
        return Value(position, text, text)

    def _fresh(self, node: yaml.Node, position: Position) -> Value:
        key = id(node)
        if node.tag not in ("plain", "text"):
            self._unknown_tag(node, position)
        if isinstance(node, yaml.SequenceNode):
            items = tuple(self._value(item) for item in node.value)
            self.sizes[key] = 1 + sum(self.sizes.get(id(item), 1) for item in node.value)
            return Value(position, items)
        if not isinstance(node, yaml.MappingNode):
            raise TypeError(f"the YAML library returned a node of unknown kind: {type(node).__name__}")
        entries = self._entries(node)
        self.sizes[key] = 1 + sum(1 + self.sizes.get(id(item), 1) for _, item in node.value)
        return Value(position, entries)

    def _unknown_tag(self, node: yaml.Node, position: Position) -> None:
        self.problems.add(
            "source/tag",
            position,
            f"Freezeline reads no YAML tags, such as {node.tag!r} here",
            "remove the tag: the text from `!` to the next blank",
        )

    def _entries(self, node: yaml.MappingNode) -> Mapping[str, Entry]:
        entries: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            position = self._position(key_node.start_mark)
            value = self._value(value_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.add("source/key", position, "a key must be a plain text", "write `name: value`")
            elif key_node.value == "<<" and key_node.tag == "plain":
                hint = "repeat the keys in this mapping, or write values of all SLOs under `defaults:`"
                self.problems.add("source/merge-key", position, "Freezeline does not read merge keys (`<<`)", hint)
            elif key_node.value in entries:
                first = entries[key_node.value].key_position
                message = f"this mapping has the key {key_node.value!r} twice"
                self.problems.add(
                    "source/duplicate-key",
                    position,
                    message,
                    f"remove this line, or the first one on line {first.line}",
                )
            else:
                entries[key_node.value] = Entry(position, value)
        return entries


def _resolve_plain(text: str) -> Scalar:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] in "+-.0123456789" and len(text) <= 40:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text):
            return Decimal(text)
    return text
