"""From a line of a generated file back to the line of the spec that it came from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import cast

import yaml
from msgspec import Struct
from msgspec.structs import replace

from freezeline.problems import Position, Problem
from generator.prometheus.promtool import Message, Outcome

_EXPRESSION = 'expr: "'


class Generated(Struct, frozen=True, kw_only=True):
    """A generated file: its text, and the spec's position for each part of the file, in order."""

    text: str
    origins: Sequence[tuple[int, Position]]


def problems(outcome: Outcome, files: Mapping[str, Generated], code: str) -> list[Problem]:
    """The tool's messages as problems of the spec; of the generated file if no line of the spec is known.

    The keys of `files` are the paths that the tool was given.
    """
    return [_problem(message, files, code) for message in outcome.messages]


def _problem(message: Message, files: Mapping[str, Generated], code: str) -> Problem:
    if not message.file:  # Prometheus 3 does not name the file of a failed test
        message = _with_file(message, files)
    generated = files.get(message.file)
    line = message.line
    if line is None and generated is not None:
        line = _line_of(message, generated.text)
    origin = position_of(line, generated.origins) if generated is not None and line is not None else None
    if origin is not None:
        return Problem(
            code=code,
            position=origin,
            message=message.text,
            hint=f"promtool read {message.file}:{line}, which this line of the spec generates",
        )
    return Problem(
        code=code, position=Position(message.file or "-", line or 1, message.column or 1), message=message.text
    )


def _with_file(message: Message, files: Mapping[str, Generated]) -> Message:
    for file, generated in files.items():
        if _line_of(message, generated.text) is not None:
            return replace(message, file=file)
    return message


def position_of(line: int, origins: Sequence[tuple[int, Position]]) -> Position | None:
    """The spec's position for a line of generated text; None above the first origin."""
    index = bisect_right(origins, line, key=lambda origin: origin[0])
    return origins[index - 1][1] if index else None


def _line_of(message: Message, text: str) -> int | None:
    """The line of the rule, unit test or expression in the file, counting from 1."""
    if message.text.startswith(_EXPRESSION) and not message.test:
        expression = message.text.removeprefix(_EXPRESSION).partition('", time: ')[0].replace('\\"', '"')
        lines = enumerate(text.split("\n"), start=1)
        quoted = expression.replace("'", "''")
        return next((number for number, line in lines if expression in line or quoted in line), None)
    if not message.group and not message.test:
        return None
    try:
        tree = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None
    if message.group and message.rule is not None:
        for group in _items(tree, "groups"):
            rules = _items(group, "rules")
            if _text(group, "name") == message.group and message.rule <= len(rules):
                return int(rules[message.rule - 1].start_mark.line) + 1
    if message.test:
        for test in _items(tree, "tests"):
            if _text(test, "name") == message.test:
                return int(test.start_mark.line) + 1
    return None


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == key:
                return cast("yaml.Node", value_node)
    return None


def _items(node: yaml.Node | None, key: str) -> list[yaml.Node]:
    child = _child(node, key)
    return child.value if isinstance(child, yaml.SequenceNode) else []


def _text(node: yaml.Node, key: str) -> str:
    child = _child(node, key)
    return str(child.value) if isinstance(child, yaml.ScalarNode) else ""
