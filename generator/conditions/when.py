"""`when`: any PromQL that returns the series that breach."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from msgspec import Struct

from generator.conditions import value_text
from generator.conditions.base import Threshold
from generator.conditions.said import LIMITS, Said, limit
from generator.promql import text as promql
from generator.promql.check import Want
from generator.promql.parts import Operation
from generator.reading.reader import Reader


class When(Struct, frozen=True, kw_only=True):
    """A query as in an alert rule of Prometheus."""

    KIND: ClassVar[str] = "when"

    by: ClassVar[tuple[str, ...]] = ()

    query: str

    def breaches(self) -> str:
        """The query."""
        return self.query

    def breach(self) -> str:
        """The comparison as 0 or 1. For a query that does not compare: whether the query returns any series."""
        made = promql.as_bool(self.query)
        return made or f"clamp_max(count({self.query}), 1) or vector(0)"

    def describe(self) -> str:
        """The query itself."""
        return self.query

    @property
    def measured(self) -> str:
        """The left side of a comparison with a constant."""
        found = _limited(self.query)
        return found.left if found is not None else ""

    @property
    def threshold(self) -> Threshold | None:
        """The constant of a comparison; None for a query that compares with no constant on its right side."""
        found = _limited(self.query)
        if found is None:
            return None
        return Threshold(op=found.op, value=Decimal(found.right.strip()), written=found.right.strip())

    def with_threshold(self, written: str) -> str:
        """The query with another constant at the end."""
        found = _limited(self.query)
        if found is None:
            raise ValueError(f"{self.query} compares with no constant")
        head, _, tail = self.query.rpartition(found.right.strip())
        return f"{head}{written}{tail}"

    @property
    def said(self) -> Said:
        """`max(queue_length) is 62`, with the constant limit of a comparison; any other query `returns` its value."""
        found = _limited(self.query)
        if found is None:
            return Said(before=f"{' '.join(self.query.split())} returns ", after="", limit="")
        return Said(before=f"{' '.join(found.left.split())} is ", after="", limit=limit(found.op, found.right))

    @property
    def shown(self) -> str:
        """A number without a unit."""
        return value_text.NUMBER


def _limited(query: str) -> Operation | None:
    """A comparison whose right side is a constant."""
    found = promql.comparison(query)
    if found is None or found.modifier or found.op not in LIMITS:
        return None
    return found if found.right.strip().replace(".", "", 1).isdigit() else None


def parse(reader: Reader) -> When:
    """Read `when: QUERY`."""
    return When(query=reader.promql("when", Want.VECTOR))
