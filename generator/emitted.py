"""Every expression that is about to be written, parsed once more: a fault in one is ours, and nothing may be written.

Each distinct text is parsed once. The parser takes 100 µs for one of an SLO's, more than all else together, so from a
few hundred on a second process helps: numbers of chunks wait in a pipe, and whoever is free takes the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import promql_parser

from freezeline.problems import Position, Problem
from generator.render.rule_file import RuleFile
from generator.second_process import DiedError, SecondProcess

PARSE_CODE = "internal/promql"
HELPED_FROM = 256  # expressions; a second process costs as much as parsing about fifty
_CHUNK = 32
_TOKEN_BYTES = 4
_MAX_TOKENS = 8192  # fits into any pipe's buffer, so that nobody has to wait while filling it

_HINT = "this is a mistake of freezeline's own: please report it, with this SLO or alert"


class Parsing:
    """The expressions of rule files, being parsed from now until `faults`."""

    def __init__(self, files: Iterable[RuleFile], processors: int) -> None:
        self._places = _places(files)
        self._texts = list(self._places)
        helped = processors > 1 and len(self._texts) >= HELPED_FROM
        self._chunks = _Chunks(self._texts) if helped else None
        self._helper = SecondProcess(self._chunks.parse) if self._chunks is not None else None

    def faults(self) -> list[Problem]:
        """What does not parse, as problems of the places in the spec that it comes from."""
        found = self._found()
        return [
            Problem(
                code=PARSE_CODE,
                position=self._places[self._texts[number]],
                message=f"a generated expression does not parse: {message}",
                hint=_HINT,
            )
            for number, message in sorted(found.items())
        ]

    def _found(self) -> dict[int, str]:
        if self._chunks is not None and self._helper is not None:
            own = self._chunks.parse()
            self._chunks.close()
            try:
                helped: dict[int, str] = self._helper.result()
            except DiedError:
                return _faults(self._texts, 0, len(self._texts))
            return own | helped
        return _faults(self._texts, 0, len(self._texts))


def _places(files: Iterable[RuleFile]) -> dict[str, Position]:
    """Each distinct expression, and where in a spec it comes from; for shared rules, the file they stand in."""
    places: dict[str, Position] = {}
    for file in files:
        for group in file.groups:
            for rule in group.rules:
                if rule.expr not in places:
                    places[rule.expr] = rule.origin or Position(file.path)
    return places


def _faults(texts: list[str], begin: int, end: int) -> dict[int, str]:
    """Number of the text → why it does not parse."""
    found: dict[int, str] = {}
    for number in range(begin, min(end, len(texts))):
        try:
            promql_parser.parse(texts[number])
        except ValueError as error:
            found[number] = str(error)
    return found


class _Chunks:
    """Texts in chunks, each of which is parsed by one of two processes."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts
        self._size = max(_CHUNK, -(-len(texts) // _MAX_TOKENS))
        self._tokens, tokens_in = os.pipe()
        count = -(-len(texts) // self._size)
        os.write(tokens_in, b"".join(number.to_bytes(_TOKEN_BYTES, "big") for number in range(count)))
        os.close(tokens_in)

    def parse(self) -> dict[int, str]:
        """Parse chunks until none is left."""
        found: dict[int, str] = {}
        while token := os.read(self._tokens, _TOKEN_BYTES):
            begin = int.from_bytes(token, "big") * self._size
            found |= _faults(self._texts, begin, begin + self._size)
        return found

    def close(self) -> None:
        """Nothing is left to take."""
        os.close(self._tokens)
