"""A proof: a test for promtool, and the alert that the test is about."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from freezeline.problems import Position
from generator import names
from generator.promql.text import matchers_text
from generator.proofs.series import InputSeries


class Subject(Struct, frozen=True, kw_only=True):
    """One alert of one SLO, or one plain alert, by the labels of the firing alert. `labels` begin with alertname."""

    labels: Mapping[str, str]
    exact: bool = True  # whether these are all its labels
    position: Position

    @property
    def firing(self) -> str:
        """The series that exists while the alert fires."""
        return "ALERTS" + matchers_text({**self.labels, "alertstate": "firing"})

    @property
    def title(self) -> str:
        """`SLOBudgetBurn availability fast`."""
        keys = ("alertname", names.SLO, names.TIER, names.BUDGET_CONSUMED_LABEL)
        return " ".join(self.labels[key] for key in keys if key in self.labels)


FIRES = "fires"
SILENT = "silent"


class Check(Struct, frozen=True, kw_only=True):
    """One expectation: fires at `at_ms`, or is silent from `since_ms` to `at_ms` (both included)."""

    subject: Subject
    kind: str
    at_ms: int
    since_ms: int = 0


class Span(Struct, frozen=True, kw_only=True):
    """A time to be measured: how long after `from_ms` the alert starts (`detected`) or stops firing (`reset`)."""

    subject: Subject
    what: str  # "detected" or "reset"
    level: str  # what went wrong: "100 %", "1.1 ×"
    from_ms: int
    until_ms: int
    promised_ms: int


class Fact(Struct, frozen=True, kw_only=True):
    """A fact that the test shows without a number: `silent when idle`."""

    subject: Subject
    text: str


class Test(Struct, frozen=True, kw_only=True):
    """One simulated course of events."""

    name: str
    sample_ms: int
    series: tuple[InputSeries, ...]
    checks: tuple[Check, ...]
    spans: tuple[Span, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def end_ms(self) -> int:
        """The last time at which the test looks."""
        return max(check.at_ms for check in self.checks)


class Gap(Struct, frozen=True, kw_only=True):
    """A proof that could not be made."""

    subject: Subject
    what: str
    reason: str
