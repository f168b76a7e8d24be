"""Gap repair adds every two hours what rollups lack against the raw counters (docs/rules.md, "Gaps are repaired")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from generator import names
from generator.model import burn
from generator.model.burn import Cadence, Profile
from generator.promql.text import matchers_text, quote
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


def is_gap_group(name: str) -> bool:
    """Whether a group of this name repairs gaps."""
    return name.rstrip("0123456789").removesuffix("-").endswith(f"-{names.GAP}")


def parts(count: int) -> Mapping[str, slice]:
    """Which of `count` SLOs of one spec and profile are repaired together, by the value of their label `repair`."""
    size = max(SLOS_PER_GROUP, -(-count // GROUPS_MAX))
    starts = range(0, count, size)
    return {f"{names.GAP}-{at // size + 1}" if at else names.GAP: slice(at, at + size) for at in starts}


def groups(
    name: str, increases: Sequence[Increases], labels: dict[str, str], profile: Profile, cadence: Cadence
) -> Iterable[Group]:
    """The repairing groups of a spec's SLOs of one profile; `labels` are what these SLOs have in common.

    What compares stands in the group of what it compares: groups are evaluated up to an hour apart.
    """
    split = parts(len(increases))
    for label, which in split.items():
        members = increases[which]
        slos = [each.slo for each in members] if len(split) > 1 else []
        repair = _Repair(profile, cadence, labels, label, slos)
        rules = [rule for each in members for rule in each.rules]
        yield Group(
            name=f"{name}-{label}",
            interval_ms=cadence.gap_ms,
            rules=(*rules, *repair.missing(), *repair.rollups()),
        )


class _Repair:
    """Builds the rules of one group, whose results carry `repair`; `slos` names its SLOs if a spec has more groups."""

    def __init__(
        self, profile: Profile, cadence: Cadence, labels: dict[str, str], repair: str, slos: Sequence[str]
    ) -> None:
        self.profile = profile
        self.cadence = cadence
        self.labels = {**labels, names.REPAIR: repair}
        self.all = matchers_text(labels)
        # Only where many samples are read: naming the SLOs everywhere would double the file.
        pattern = "|".join(slos).replace(".", r"\.")  # names are letters, digits, `-`, `_` and `.`
        self.own = f"{self.all[:-1]},{names.SLO}=~{quote(pattern)}}}" if slos else self.all
        self.rollup_s = seconds_text(cadence.rollup_ms)
        self.span = duration_text(cadence.gap_span_ms)

    def _base(self, kind: str) -> str:
        return names.base(kind, self.profile.base_ms)

    def _missing(self, kind: str) -> str:
        return names.missing(kind, self.cadence.gap_span_ms) + matchers_text(self.labels)

    def _increase(self, kind: str) -> str:
        return names.increase(kind, self.cadence.gap_span_ms) + self.own

    def _rollup(self, kind: str) -> str:
        return names.rollup(kind, self.cadence.rollup_ms)

    def missing(self) -> Iterable[Rule]:
        """Events of the span that the rollups lack."""
        apart = ", ".join(self.profile.apart)
        for kind in names.KINDS:
            rollups = f"sum_over_time({self._rollup(kind)}{self.own}[{self.span}])"
            counted = f"{self.rollup_s} * sum without ({apart}) ({rollups})"
            yield Rule(
                record=names.missing(kind, self.cadence.gap_span_ms),
                expr=(
                    f"{self._increase(kind)}\n- {counted}\n"
                    f"# in the rollups, and not yet in the raw counters\n+ {self._ahead(kind)}"
                ),
                labels=self.labels,
            )

    def _ahead(self, kind: str) -> str:
        """Events that the rollups have counted and the raw counters, looked at a while ago, have not; less a day ago.

        An event is in the base series for one base window B, so that the last rollup has counted a share of the events
        of the last B before it, on average half, and all older ones. The counters are looked at B and a rollup's length
        R ago: everything up to there is counted. With the last rollup w ago, the rollups are ahead by half the events
        of B, and the events of the R - w before.
        """
        series, profile, cadence = f"{self._base(kind)}{self.all}", self.profile, self.cadence
        latest = f'timestamp({self._rollup(kind)}{self.all[:-1]},{names.REPAIR}=""}})'
        if profile.window.calendar:
            latest = f"max without ({names.CYCLE}) ({latest})"
        # Nothing looks further back than one rollup: what was not recorded then will not be.
        age = f"clamp_max(time() - {latest}, {self.rollup_s})"

        # The first day of an SLO has no rate of a day ago, and is not repaired.
        newer = f"({series} - {series} offset {self.span})"
        ago, before = (duration_text(profile.base_ms + each) for each in (0, cadence.gap_span_ms))
        # Where nothing was recorded then, nothing is ahead.
        older = f"(({series} offset {ago} or 0 * {series}) - ({series} offset {before} or 0 * {series}))"
        half_s = seconds_text(profile.base_ms // 2)
        return f"{half_s} * {newer}\n+ ({self.rollup_s} - {age})\n  * {older}"

    def rollups(self) -> Iterable[Rule]:
        """What is missing, as rollups under a `repair` label of their own.

        Written only where samples are missing (fewer than all but five minutes of three hours) or where half a percent
        of a day's events is, and once Prometheus has run for three base windows: before, rates are still filling up,
        and the next look will do. Nothing smaller is added than how far off the events in flight may be reckoned: twice
        the square root of their number, as for any count, and half an event.
        """
        cadence, profile = self.cadence, self.profile
        full = cadence.gap_look_ms * 175 // (180 * cadence.fast_ms)  # of the 180 samples of three hours, one a minute
        settled = 3 * profile.base_ms
        total = f"{self._base('total')}{self.own}"
        flight_s = seconds_text(profile.base_ms + cadence.rollup_ms)
        flight = duration_text(profile.base_ms + cadence.rollup_ms)
        for kind in reversed(names.KINDS):
            missing, base = self._missing(kind), f"{self._base(kind)}{self.all}"
            now, before = (f"avg_over_time({base}[{flight}]{offset})" for offset in ("", f" offset {self.span}"))
            expr = (
                f"{missing} / {self.rollup_s}\n"
                f"and ignoring ({names.REPAIR}) (\n"
                f"  (\n"
                f"    count_over_time({total}[{duration_text(cadence.gap_look_ms)}]) < {full}\n"
                f"    or {missing} / ignoring ({names.REPAIR}) {self._increase(kind)} > 0.005\n"
                f"  )\n"
                f"  and ignoring ({names.REPAIR}) {missing}\n"
                f"    > ignoring ({names.REPAIR}) 0.5 + 2 * sqrt({flight_s} * ({now} + ({before} or 0 * {now})))\n"
                f"  and count_over_time({total}[{duration_text(settled)}]) >= {settled // cadence.fast_ms - 1}\n"
                f")"
            )
            yield Rule(record=self._rollup(kind), expr=in_cycle(expr, profile), labels=self.labels)


def in_cycle(rollup: str, profile: Profile) -> str:
    """The rollup, labelled with the calendar unit of the moment where the SLO window follows the calendar."""
    if not profile.window.calendar:
        return rollup
    cycle = burn.CALENDARS[profile.window.calendar].cycle
    return f'({rollup}) * on () group_left ({names.CYCLE}) (0 * count_values("{names.CYCLE}", {cycle}) + 1)'
