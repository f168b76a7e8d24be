"""`when`: any PromQL that returns the series that breach."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from generator.conditions import value_text
from generator.promql import text as promql
from generator.promql.check import Want
from generator.reading.reader import Reader


class When(Struct, frozen=True, kw_only=True):
    """A query as in an alert rule of Prometheus."""

    KIND: ClassVar[str] = "when"

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
    def shown(self) -> str:
        """A number without a unit."""
        return value_text.NUMBER


def parse(reader: Reader) -> When:
    """Read `when: QUERY`."""
    return When(query=reader.promql("when", Want.VECTOR))
