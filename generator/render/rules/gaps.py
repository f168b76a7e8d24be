"""Gap repair adds once an hour what rollups lack against the raw counters (docs/rules.md, "Gaps are repaired")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from generator import names
from generator.model import burn
from generator.model.burn import Cadence, Profile
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
                    f"# will be in the next rollups\n- {self._not_yet_in_rollups(kind)}"
                ),
                labels=self.labels,
            )

    def _not_yet_in_rollups(self, kind: str) -> str:
        """Events that have happened and that later rollups will count, less the same of a day ago.

        A rate over the base window B counts an event in each evaluation of the next B, and a rollup comes up to
        a rollup's length later. With the last rollup w ago, it lacks the mean, for u from w to w + B, of events of the
        last u. Taken as even within a window, those are u × rate up to B, and B × rate + (u - B) × the rate before it
        beyond: together (w + B/2 - p) × rate + p × rate before, p = w²/2B, or w - B/2 where w > B. The rate of the
        moment alone, over all of it, is wrong by minutes of an incident that begins or ends then.
        """
        series, profile, rollup_ms = f"{self._base(kind)}{self.all}", self.profile, self.cadence.rollup_ms
        latest = f'timestamp({self._rollup(kind)}{self.all[:-1]},{names.REPAIR}=""}})'
        if profile.window.calendar:
            latest = f"max without ({names.CYCLE}) ({latest})"
        # Nothing looks further back than one rollup: what was not recorded then will not be.
        age = f"clamp_max(time() - {latest}, {self.rollup_s})"
        twice_s, half_s = seconds_text(2 * profile.base_ms), seconds_text(profile.base_ms // 2)
        share = f"{age} ^ 2 / {twice_s}"
        if profile.base_ms < rollup_ms:
            within = f"clamp_max({age}, {seconds_text(profile.base_ms)})"
            share = f"({within} ^ 2 / {twice_s} + {age} - {within})"

        def before(moment_ms: int) -> str:
            """The rate before the last base window, as of some time ago; nothing recorded is nothing to come."""
            offset = f"offset {duration_text(profile.base_ms + moment_ms)}"
            if profile.base_ms < rollup_ms:
                rest = duration_text(rollup_ms - profile.base_ms)
                return f"(avg_over_time({series}[{rest}] {offset}) or 0 * {series})"
            return f"({series} {offset} or 0 * {series})"

        grown = f"{series} - {series} offset {self.span}"
        grown_before = f"{before(0)}\n- {before(self.cadence.gap_span_ms)}"
        return f"({age} + {half_s} - {share})\n  * ({grown})\n- {share}\n  * {indented(enclosed(grown_before))}"

    def rollups(self) -> Iterable[Rule]:
        """What is missing, as rollups under a `repair` label of their own.

        Written only where samples are missing (fewer than all but five minutes of three hours) or where half a percent
        of all events is, and once Prometheus has run for three base windows: before, rates are still filling up, and
        the next look will do.
        """
        cadence, profile = self.cadence, self.profile
        full = cadence.gap_look_ms * 175 // (180 * cadence.fast_ms)  # of the 180 samples of three hours, one a minute
        settled = 3 * profile.base_ms
        total = f"{self._base('total')}{self.own}"
        for kind in reversed(names.KINDS):
            expr = (
                f"clamp_min({self._missing(kind)}, 0) / {self.rollup_s}\n"
                f"and ignoring ({names.REPAIR}) (\n"
                f"  (\n"
                f"    count_over_time({total}[{duration_text(cadence.gap_look_ms)}]) < {full}\n"
                f"    or {self._missing('total')} / ignoring ({names.REPAIR}) {self._increase('total')} > 0.005\n"
                f"  )\n"
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
