"""The interface of every condition: when a plain alert breaches, as PromQL."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Protocol

from msgspec import Struct

from generator.conditions.said import Said
from generator.reading.reader import Reader
from generator.units import decimal_text, spaced


class Condition(Protocol):
    """When a plain alert breaches."""

    KIND: ClassVar[str]

    def breaches(self) -> str:
        """The series that breach now; none if all is well."""

    def breach(self) -> str:
        """1 if the condition breaches, 0 if not; no series without a measurement."""

    def describe(self) -> str:
        """The condition for people, without a full stop: the value, the comparison and the limit."""

    @property
    def by(self) -> tuple[str, ...]:
        """The labels of the groups that breach each on their own."""

    @property
    def measured(self) -> str:
        """The measured value as PromQL, without the limit; "" where nothing is compared with a constant."""

    @property
    def said(self) -> Said:
        """The words around the value in the alert's sentence."""

    @property
    def shown(self) -> str:
        """A template that Prometheus fills with the alert's value, for people: `2.308 %`, `450 ms`, `12`."""


class Threshold(Struct, frozen=True, kw_only=True):
    """A limit as a number in the query's unit, and its text in the spec."""

    op: str  # `>`, `>=`, `<` or `<=`
    value: Decimal
    written: str

    @property
    def filtered(self) -> str:
        """`> 0.005`: keeps the series that breach."""
        return f"{self.op} {decimal_text(self.value)}"

    @property
    def boolean(self) -> str:
        """`> bool 0.005`: 1 or 0."""
        return f"{self.op} bool {decimal_text(self.value)}"

    @property
    def words(self) -> str:
        """`> 0.5 %`."""
        return f"{self.op} {spaced(self.written)}"


THRESHOLDS = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<="}


def read_threshold(reader: Reader) -> Threshold:
    """Read exactly one of `above`, `at_least`, `below`, `at_most`."""
    found: list[Threshold] = []
    for key, op in THRESHOLDS.items():
        if reader.has(key):
            value, written = reader.bound(key)
            found.append(Threshold(op=op, value=value, written=written))
    if len(found) != 1:
        message = f"{reader.what} needs one threshold" if not found else f"{reader.what} has more than one threshold"
        reader.fail(
            "spec/threshold", message, "write one of `above: 1%`, `at_least: 1%`, `below: 1%` and `at_most: 1%`"
        )
        return found[0] if found else Threshold(op=">", value=Decimal(0), written="0")
    return found[0]


def aggregate(function: str, labels: tuple[str, ...], expression: str) -> str:
    """`function by (labels) (expression)`."""
    by = f" by ({', '.join(labels)}) " if labels else ""
    return f"{function}{by}({expression})"
