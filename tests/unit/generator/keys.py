"""The keys that the loader knows, found from outside: the loader lists them when it meets an unknown key."""

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from generator.pipeline import load_set
from generator.reading.source import Value, read_source
from tests.unit.generator import specs

UNKNOWN = "0" * 20
Path = tuple[str, ...]
ANY = "*"  # stands for an item of a list, and for a name of the user's own


def plain(value: Value) -> Any:
    """A YAML tree as plain data, with numbers as in JSON."""
    content = value.content
    if isinstance(content, tuple):
        return [plain(item) for item in content]
    if isinstance(content, dict):
        return {key: plain(entry.value) for key, entry in content.items()}
    if content is None or isinstance(content, (bool, int, str)):
        return content
    return float(str(content))


def mappings(value: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every mapping in plain data with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, inner in value.items():
            yield from mappings(inner, (*path, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from mappings(inner, (*path, ANY))


def known(data: bytes) -> Iterator[tuple[Path, frozenset[str] | None]]:
    """For each mapping of a spec, its path and its possible keys; None if users choose the keys."""
    root = read_source("spec.yaml", data, specs.nothing()).root
    assert root is not None
    content = plain(root)
    for number, (path, _) in enumerate(mappings(content)):
        changed = copy.deepcopy(content)
        list(mappings(changed))[number][1][UNKNOWN] = 1
        problems = load_set([("spec.yaml", json.dumps(changed).encode())], "slos").problems
        hints = [problem.hint for problem in problems if f"has no key {UNKNOWN!r}" in problem.message]
        yield path, _listed(hints[0]) if hints else None


def _listed(hint: str) -> frozenset[str]:
    match = re.fullmatch(r"use one of: (.*)", hint)
    assert match, hint
    return frozenset(match[1].split(", "))


@cache
def everything() -> dict[Path, frozenset[str]]:
    """All keys by place, from the script with every section and key; `*` stands for the user's names."""
    found: dict[Path, frozenset[str]] = {}
    for _, data in specs.of_scripts("good-every"):
        free: set[Path] = set()
        for path, listed in known(data):
            if listed is None:
                free.add(path)
                continue
            place = tuple(ANY if path[:index] in free else key for index, key in enumerate(path))
            found[place] = found.get(place, frozenset()) | listed
    return found
