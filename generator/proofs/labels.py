"""Finds, by trying, label sets that a selector's matchers accept, for the input series of the proofs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice, product
from re import _constants as syntax  # type: ignore[attr-defined]  # the parser's names; public under no other
from re import _parser as regex_parser  # type: ignore[attr-defined]
from typing import Any

from generator.promql.text import Selector

Matchers = tuple[tuple[str, str, str], ...]

# Tried if the matchers themselves give no value. "" stands for a missing label.
_COMMON = ("proof", "200", "ok", "other", "1", "")
_SAMPLES_PER_PATTERN = 12
_CHARACTERS = "0ax1-_.A 5/"


class NoLabelsError(Exception):
    """No label set was found. The message names the matchers."""


def accepts(matchers: Matchers, labels: Mapping[str, str]) -> bool:
    """Whether a series with these labels is selected. Raises re.error for a pattern that Python cannot read."""
    return all(_matches(op, wanted, labels.get(name, "")) for name, op, wanted in matchers)


def _matches(op: str, wanted: str, value: str) -> bool:
    if op in ("=", "!="):
        return (value == wanted) == (op == "=")
    return (re.fullmatch(wanted, value, re.DOTALL) is not None) == (op == "=~")


def selected(found: Selector, fixed: Mapping[str, str]) -> dict[str, str]:
    """Labels that the selector accepts, with the `fixed` labels if the matchers allow them. Raises NoLabelsError."""
    return _search(found.matchers, (), fixed, found.text)


def selected_without(whole: Selector, part: Selector, fixed: Mapping[str, str]) -> dict[str, str]:
    """Labels that `whole` accepts and `part`, of the same metric, does not. Raises NoLabelsError."""
    return _search(whole.matchers, part.matchers, fixed, f"{whole.text} without {part.text}")


def selected_by_both(whole: Selector, part: Selector, fixed: Mapping[str, str]) -> dict[str, str]:
    """Labels that both selectors accept. Raises NoLabelsError."""
    return _search((*whole.matchers, *part.matchers), (), fixed, f"{part.text} within {whole.text}")


def _search(wanted: Matchers, unwanted: Matchers, fixed: Mapping[str, str], what: str) -> dict[str, str]:
    return dict(_found(wanted, unwanted, tuple(fixed.items()), what))


@lru_cache(maxsize=1024)
def _found(
    wanted: Matchers, unwanted: Matchers, fixed_items: tuple[tuple[str, str], ...], what: str
) -> tuple[tuple[str, str], ...]:
    """Find labels once for the many proofs of an SLO."""
    fixed = dict(fixed_items)
    names = list(dict.fromkeys([*fixed, *(name for name, _, _ in (*wanted, *unwanted))]))
    pools = []
    for name in names:
        own = tuple(matcher for matcher in wanted if matcher[0] == name)
        pool = [value for value in _pool(name, (*wanted, *unwanted), fixed) if accepts(own, {name: value})]
        pools.append(list(dict.fromkeys(pool)))
    for values in islice(product(*pools), 100_000):
        labels = {name: value for name, value in zip(names, values, strict=True) if value}
        if not unwanted or not accepts(unwanted, labels):
            return tuple(labels.items())
    raise NoLabelsError(f"no labels were found for {what}")


def _pool(name: str, matchers: Matchers, fixed: Mapping[str, str]) -> Iterator[str]:
    if name in fixed:
        yield fixed[name]
    for own, op, value in matchers:
        if own == name:
            yield from [value] if op in ("=", "!=") else samples(value)
    yield from _COMMON


def samples(pattern: str) -> list[str]:
    """Some texts that the whole pattern matches."""
    try:
        tree = regex_parser.parse(pattern)
    except re.error:
        return []
    found = (text for text in _expand(tree) if re.fullmatch(pattern, text, re.DOTALL))
    return list(dict.fromkeys(islice(found, _SAMPLES_PER_PATTERN)))


def _expand(tree: Iterable[Any]) -> Iterator[str]:
    """Texts of a sequence. Each part gives few texts, so that the product stays small."""
    parts = [list(islice(_atom(op, argument), 4)) for op, argument in tree]
    for texts in islice(product(*parts), 200):
        yield "".join(texts)


def _atom(op: Any, argument: Any) -> Iterator[str]:
    if op is syntax.LITERAL:
        yield chr(argument)
    elif op in (syntax.ANY, syntax.NOT_LITERAL, syntax.IN):
        yield from _one_character(op, argument)
    elif op is syntax.BRANCH:
        for branch in argument[1]:
            yield from islice(_expand(branch), 2)
    elif op is syntax.SUBPATTERN:
        yield from _expand(argument[3])
    elif op in (syntax.MAX_REPEAT, syntax.MIN_REPEAT):
        least, most, inner = argument
        for count in dict.fromkeys((max(least, 1) if most else 0, least)):
            for text in islice(_expand(inner), 2):
                yield text * count
    else:  # Anchors and similar parts match no character.
        yield ""


def _one_character(op: Any, argument: Any) -> Iterator[str]:
    if op is syntax.ANY:
        yield from _CHARACTERS
        return
    excluded = op is syntax.NOT_LITERAL or any(item[0] is syntax.NEGATE for item in argument)
    if excluded:
        yield from _CHARACTERS + "bcdefghijklmnopqrstuvwyzBCDEFGHIJKLMNOPQRSTUVWXYZ2346789"
        return
    for item_op, item in argument:
        if item_op is syntax.LITERAL:
            yield chr(item)
        elif item_op is syntax.RANGE:
            yield chr(item[0])
        else:  # A category such as \d: the whole pattern is tried afterwards.
            yield from _CHARACTERS
