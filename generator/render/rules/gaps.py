"""Gap repair adds what rollups lack against the raw counters (docs/rules.md, "The rules repair gaps")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from generator import names
from generator.model import burn
from generator.model.burn import Cadence, Profile, Repair
from generator.promql.text import enclosed, indented, matchers_text, quote
from generator.render.rules.rule_file import Group, Rule
from generator.sli.base import seconds_text
from generator.units import duration_text

# A day of raw counters takes some milliseconds an SLO: so many at once are done well within a second.
SLOS_PER_GROUP = 50
GROUPS_MAX = 20


class Increases(Struct, frozen=True, kw_only=True):
    """The rules that record what the raw counters of one SLO grew by over the gap span, total before errors."""

    slo: str
    rules: tuple[Rule, ...]


_GAP_GROUP = rf"-{names.GAP}(-\d+[a-z]+)*(-\d+)?$"


def is_gap_group(name: str) -> bool:
    """Whether a group of this name repairs gaps."""
    return re.search(_GAP_GROUP, name) is not None


def age_ms(cadence: Cadence) -> int:
    """The age of the last rollup, on average. Gap repair reads the raw counters up to where that rollup ends."""
    return cadence.rollup_ms // 2


def parts(count: int, repair: Repair) -> Mapping[str, slice]:
    """Which of `count` SLOs of one spec and profile are repaired together, by the value of their label `repair`."""
    first = names.GAP if repair.look_ms else f"{names.GAP}-{duration_text(repair.span_ms)}"
    return split(count, first)


def split(count: int, first: str) -> Mapping[str, slice]:
    """`count` SLOs in groups that are done within a second, by name: `first`, `first-2` and so on."""
    size = max(SLOS_PER_GROUP, -(-count // GROUPS_MAX))
    return {f"{first}-{at // size + 1}" if at else first: slice(at, at + size) for at in range(0, count, size)}


def groups(
    name: str,
    increases: Sequence[Increases],
    labels: dict[str, str],
    *,
    profile: Profile,
    cadence: Cadence,
    repair: Repair,
) -> Iterable[Group]:
    """The repairing groups of a spec's SLOs of one profile; `labels` are what these SLOs have in common.

    What compares stands in the group of what it compares: groups are evaluated up to an hour apart.
    """
    made_of = parts(len(increases), repair)
    for label, which in made_of.items():
        members = increases[which]
        slos = [each.slo for each in members] if len(made_of) > 1 else []
        made = _RepairRules({**labels, names.REPAIR: label}, slos, profile=profile, cadence=cadence, repair=repair)
        rules = [rule for each in members for rule in each.rules]
        yield Group(
            name=f"{name}-{label}",
            interval_ms=repair.every_ms,
            rules=(*rules, *made.missing(), *made.rollups()),
        )


class _RepairRules:
    """Builds the rules of one group, whose results carry `labels`; `slos` names its SLOs if a spec has more groups."""

    def __init__(
        self, labels: dict[str, str], slos: Sequence[str], *, profile: Profile, cadence: Cadence, repair: Repair
    ) -> None:
        self.profile = profile
        self.cadence = cadence
        self.repair = repair
        self.labels = labels
        common = {name: value for name, value in labels.items() if name != names.REPAIR}
        self.all = matchers_text(common)
        self.repaired = matchers_text(labels)
        # Only where many samples are read: naming the SLOs everywhere would double the file.
        pattern = "|".join(slos).replace(".", r"\.")  # names are letters, digits, `-`, `_` and `.`
        self.own = f"{self.all[:-1]},{names.SLO}=~{quote(pattern)}}}" if slos else self.all
        self.rollup_s = seconds_text(cadence.rollup_ms)
        self.span = duration_text(repair.span_ms)

    def _base(self, kind: str) -> str:
        return names.base(kind, self.profile.base_ms)

    def _missing(self, kind: str) -> str:
        return names.missing(kind, self.repair.span_ms) + self.repaired

    def _increase(self, kind: str) -> str:
        return names.increase(kind, self.repair.span_ms) + self.own

    def _rollup(self, kind: str) -> str:
        return names.rollup(kind, self.cadence.rollup_ms)

    def missing(self) -> Iterable[Rule]:
        """Events of the span that the rollups lack."""
        apart = ", ".join(self.profile.apart)
        for kind in names.KINDS:
            rollups = f"sum_over_time({self._rollup(kind)}{self.own}[{self.span}])"
            counted = f"{self.rollup_s} * sum without ({apart}) ({rollups})"
            yield Rule(
                record=names.missing(kind, self.repair.span_ms),
                expr=(
                    f"{self._increase(kind)}\n- {counted}\n"
                    f"# in the rollups, and not yet in the raw counters\n+ {self._ahead(kind)}"
                ),
                labels=self.labels,
            )

    def _latest(self, kind: str) -> str:
        """The last rollup that is no repair."""
        return f'{self._rollup(kind)}{self.all[:-1]},{names.REPAIR}=""}}'

    def _ahead(self, kind: str) -> str:
        """Events that the rollups have counted and the raw counters, looked at a while ago, have not; less a span ago.

        The first span of an SLO has no rate of a span ago, and is not repaired.
        """
        now, before = self._rates(kind)
        latest = f"timestamp({self._latest(kind)})"
        if self.profile.window.calendar:
            latest = f"max without ({names.CYCLE}) ({latest})"
        # Nothing looks further back than one rollup: what was not recorded then will not be.
        age = f"clamp_max(time() - {latest}, {self.rollup_s})"
        return f"({seconds_text(age_ms(self.cadence))} - {age})\n  * ({now} - {before})"

    def _rates(self, kind: str) -> tuple[str, str]:
        """Events per second in the base window that ends as rollups do, now and a span ago."""
        series, late_ms = f"{self._base(kind)}{self.all}", self.repair.late_ms
        now = f"{series} offset {duration_text(late_ms)}" if late_ms else series
        return now, f"{series} offset {duration_text(self.repair.span_ms + late_ms)}"

    def rollups(self) -> Iterable[Rule]:
        """What is missing, as rollups under a `repair` label of their own.

        Written only where samples are missing or where half a percent of the span's events is, and once Prometheus has
        run for three base windows: before, rates are still filling up, and the next look will do. Nothing smaller is
        added than how far off the events in flight may be reckoned: twice the square root of their number, as for any
        count, and half an event.
        """
        settled = 3 * self.profile.base_ms
        total = f"{self._base('total')}{self.own}"
        age_s = seconds_text(age_ms(self.cadence))
        for kind in reversed(names.KINDS):
            missing, (now, before) = self._missing(kind), self._rates(kind)
            expr = (
                f"{missing} / {self.rollup_s}\n"
                f"and ignoring ({names.REPAIR}) (\n"
                f"  {indented(self._wanted(kind))}\n"
                f"  and ignoring ({names.REPAIR}) {missing}\n"
                f"    > ignoring ({names.REPAIR}) 0.5 + 2 * sqrt({age_s} * ({now} + {before}))\n"
                f"  and count_over_time({total}[{duration_text(settled)}]) >= {settled // self.cadence.fast_ms - 1}\n"
                f")"
            )
            yield Rule(record=self._rollup(kind), expr=in_cycle(expr, self.profile), labels=self.labels)

    def _wanted(self, kind: str) -> str:
        """Where a gap may be."""
        if not self.repair.look_ms:
            return self._much("total")
        full = self.repair.look_ms // self.cadence.rollup_ms
        look = duration_text(self.repair.look_ms)
        rollups = f'{self._rollup("total")}{self.own[:-1]},{names.REPAIR}=""}}'
        counted = f"count_over_time({rollups}[{look}])"
        if self.profile.window.calendar:
            counted = f"sum without ({names.CYCLE}) ({counted})"
        return enclosed(f"{counted} < {full}\nor {self._much(kind)}")

    def _much(self, kind: str) -> str:
        return f"{self._missing(kind)} / ignoring ({names.REPAIR}) {self._increase(kind)} > 0.005"


def in_cycle(rollup: str, profile: Profile) -> str:
    """The rollup, labelled with the calendar unit of the moment where the SLO window follows the calendar."""
    if not profile.window.calendar:
        return rollup
    cycle = burn.CALENDARS[profile.window.calendar].cycle
    return f'({rollup}) * on () group_left ({names.CYCLE}) (0 * count_values("{names.CYCLE}", {cycle}) + 1)'
