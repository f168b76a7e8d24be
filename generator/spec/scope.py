"""The scope of an output set: the label that keeps its series apart from those of every other set.

The scope comes from the specs alone, never from a folder's name or path: two checkouts give the same scope, and two
teams different ones. If no spec names a scope, the scope is the team and the name of the first service.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from freezeline.problems import Problems
from generator.model.spec import Spec
from generator.reading.source import Value, read_source

NO_SERVICE = "slos"  # only for specs that are broken beyond their service


class Head(Struct, frozen=True, kw_only=True):
    """The part of a spec that decides about the scope."""

    file: str
    service: str
    team: str
    scope: str


def of_spec(spec: Spec) -> Head:
    """The head of a spec that was loaded."""
    return Head(file=spec.file, service=spec.service, team=spec.owner.team, scope=spec.scope)


def heads(files: Iterable[tuple[str, bytes]]) -> list[Head]:
    """The heads of spec files that are read for nothing else. Files that are no specs are left out."""
    found = []
    for name, data in files:
        root = read_source(name, data, Problems()).root
        if root is not None and _text(root, "service"):
            service, team, scope = _text(root, "service"), _text(root, "owner", "team"), _text(root, "scope")
            found.append(Head(file=name, service=service, team=team, scope=scope))
    return found


def _text(value: Value, *path: str) -> str:
    for key in path:
        entry = value.content.get(key) if isinstance(value.content, dict) else None
        if entry is None:
            return ""
        value = entry.value
    return value.content if isinstance(value.content, str) else ""


def choose(named: Iterable[Head], beside: Iterable[Head]) -> str:
    """The scope of a set. `beside` are specs of the same folder that this run does not name.

    A run over one file of a folder thus has the scope of the whole folder.
    """
    named, beside = list(named), list(beside)
    written = {head.scope for head in named if head.scope}
    if not written:
        written = {head.scope for head in beside if head.scope}
        if len(written) > 1:  # the folder holds several sets, and this run is about none of them
            written = set()
    if written:
        return min(written)
    first = min(
        ((head.service, head.team) for head in (*named, *beside) if head.service and not head.scope), default=None
    )
    return NO_SERVICE if first is None else f"{first[1]}/{first[0]}"
