"""Finds the position of a value in a YAML or JSON text."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from freezeline.problems import Position


def locate(text: str, path: Sequence[str | int], file: str) -> Position:
    """Position of the value at `path`. If the value is missing, the nearest value around it. JSON is read as YAML."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return Position(file)
    if node is None:
        return Position(file)
    for step in path:
        following = _child(node, step)
        if following is None:
            break
        node = following
    return Position(file, node.start_mark.line + 1, node.start_mark.column + 1)


def _child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if getattr(key, "value", None) == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]  # type: ignore[no-any-return]
    return None
