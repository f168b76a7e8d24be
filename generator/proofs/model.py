"""What a proof is: a test for promtool, and what it says about which alert."""

from __future__ import annotations

from collections.abc import Mapping

from freezeline.dataclass import dataclass, field
from freezeline.problems import Position
from generator import names
from generator.promql import matchers_text
from generator.proofs.series import InputSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One alert of one SLO, or one plain alert, by the labels that it fires with. `labels` begin with alertname."""

    labels: Mapping[str, str]
    exact: bool = True  # whether these are all its labels
    position: Position

    @property
    def firing(self) -> str:
        """The series that exists while it fires."""
        return "ALERTS" + matchers_text({**self.labels, "alertstate": "firing"})

    @property
    def title(self) -> str:
        """`SLOBudgetBurn availability fast`."""
        keys = ("alertname", names.SLO, names.TIER, names.BUDGET_CONSUMED_LABEL)
        return " ".join(self.labels[key] for key in keys if key in self.labels)


FIRES = "fires"
SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation: fires at `at_ms`, or is silent from `since_ms` to `at_ms` (both included)."""

    subject: Subject
    kind: str
    at_ms: int
    since_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time to be measured: how long after `from_ms` the alert starts (`detected`) or stops firing (`reset`)."""

    subject: Subject
    what: str  # "detected" or "reset"
    level: str  # what went wrong: "100 %", "1.1 ×"
    from_ms: int
    until_ms: int
    promised_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that the test shows without a number: `silent when idle`."""

    subject: Subject
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One simulated course of events."""

    name: str
    sample_ms: int
    series: tuple[InputSeries, ...]
    checks: tuple[Check, ...]
    spans: tuple[Span, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def end_ms(self) -> int:
        """The last moment that is looked at."""
        return max(check.at_ms for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A proof that could not be made."""

    subject: Subject
    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The tests that are evaluated at one interval, and the rules they are about.

    `build` false: the shipped rule files; true: the same rules rendered for this interval.
    """

    interval_ms: int
    build: bool
    tests: tuple[Test, ...]
    gaps: tuple[Gap, ...] = field(default_factory=tuple)
