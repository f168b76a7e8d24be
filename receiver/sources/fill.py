"""Puts the releases' names and a gate's bound into PromQL: `$canary`, `$stable` and `$bound`.

A release's name comes from the outside, so only harmless characters pass, and a regular-expression matcher gets the
name with its special characters escaped.
"""

from __future__ import annotations

import re
from decimal import Decimal

RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
"""The names that a release may have. None of these characters ends a string of PromQL."""

_STRING = re.compile(r"""(?P<pattern>=~|!~)?(?P<space>\s*)(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)""")
_SPECIAL = re.compile(r"[.+]")


class ReleaseNameError(ValueError):
    """A release has a name that cannot stand in a query."""


def check_name(name: str) -> None:
    """Raises ReleaseNameError for a name that cannot stand in a query."""
    if RELEASE.fullmatch(name) is None:
        raise ReleaseNameError(
            f"the release name {name[:60]!r} may hold only letters, digits and . _ : / @ + - (at most 200)"
        )


def filled(query: str, *, canary: str, stable: str, bound: Decimal | None = None) -> str:
    """The query with names and bound. Only strings get names; `$bound` becomes a number."""
    for name in (canary, stable):
        if name:
            check_name(name)

    def string(found: re.Match[str]) -> str:
        text = found["text"]
        if found["pattern"]:
            back = "\\" if text[0] == "`" else "\\\\"
            canary_, stable_ = (_SPECIAL.sub(lambda mark: back + mark[0], name) for name in (canary, stable))
        else:
            canary_, stable_ = canary, stable
        text = text.replace("$canary", canary_).replace("$stable", stable_)
        return f"{found['pattern'] or ''}{found['space']}{text}"

    made = _STRING.sub(string, query)
    return made if bound is None else made.replace("$bound", f"{bound.normalize():f}")
