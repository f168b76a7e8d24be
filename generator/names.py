"""Every metric and label name that Freezeline writes or reads. Nothing else spells one."""

from __future__ import annotations

from generator.units import duration_text

# Labels of base series and of alerts.
SERVICE = "service"
SLO = "slo"
SCOPE = "scope"
PROFILE = "profile"
WINDOW = "window"
REPAIR = "repair"
RAW_OF = "freezeline_slo"  # names the SLO on a recorded series that keeps the labels of a raw series
CYCLE = "cycle"  # the calendar unit of a rollup, for SLO windows by the calendar
TIER = "tier"
TEAM = "team"
SEVERITY = "severity"
BUDGET_CONSUMED_LABEL = "budget_consumed"
ALERT = "alert"
SPEC = "spec"

# Labels of the receiver's metrics about rehearsals.
KIND_OF_REHEARSAL = "kind"
MEASURE = "measure"

IDENTITY = (SERVICE, SLO, SCOPE)
RESERVED_LABELS = frozenset(
    {
        "alertname",
        SEVERITY,
        SERVICE,
        TEAM,
        SLO,
        TIER,
        BUDGET_CONSUMED_LABEL,
        SCOPE,
        PROFILE,
        WINDOW,
        REPAIR,
        CYCLE,
        RAW_OF,
        "le",
        "quantile",
        "__name__",
        "freezeline_policy",
    }
)

# Names of the alerts that Freezeline generates.
BUDGET_BURN = "SLOBudgetBurn"
BUDGET_CONSUMED = "SLOBudgetConsumed"
NO_DATA = "SLONoData"
WATCHDOG = "FreezelineWatchdog"
SELF_PREFIX = "Freezeline"
GENERATED_ALERTS = (BUDGET_BURN, BUDGET_CONSUMED, NO_DATA)

# Series of the rules that profiles share.
ERROR_RATIO = "slo:error_ratio"
ERROR_BUDGET = "slo:error_budget"
ERROR_BUDGET_REMAINING = "slo:error_budget_remaining"
INFO = "slo:info"
BUDGET_WINDOW = "budget"  # the value of WINDOW for the ratio over the whole SLO window
BREACH = "freezeline:breach"  # 0 or 1, for alerts that need N breaches in a row
GAP = "gap"  # the first letters of REPAIR's values, on repaired rollups and their inputs
MISSING = "missing"

KINDS = ("total", "errors")

# Engines that evaluate rules.
PROMETHEUS = "prometheus"
ENGINES = (PROMETHEUS, "thanos", "cortex", "mimir", "victoriametrics")


def base(kind: str, base_window_ms: int) -> str:
    """Events (`total`) or bad events (`errors`) per second over the base window: `slo:total:rate5m`."""
    return f"slo:{kind}:rate{duration_text(base_window_ms)}"


def born(kind: str, window_ms: int) -> str:
    """Events in the first values of newborn series, as events per second over a window: `slo:errors:born5m`."""
    return f"slo:{kind}:born{duration_text(window_ms)}"


def left(kind: str) -> str:
    """Last values of raw series that left a living target: `slo:total:left`."""
    return f"slo:{kind}:left"


def rollup(kind: str, rollup_ms: int) -> str:
    """Events since the last rollup, as events per second: `slo:total:rollup5m`."""
    return f"slo:{kind}:rollup{duration_text(rollup_ms)}"


def events(kind: str) -> str:
    """Events over the SLO's whole window: `slo:errors:events`."""
    return f"slo:{kind}:events"


def window_events(kind: str, window_ms: int) -> str:
    """Events over the window of a tier, where more than one rule reads these events: `slo:errors:events6h`."""
    return events(kind) + duration_text(window_ms)


def summed(kind: str) -> str:
    """Events in a long window, as last added up: `slo:errors:sum`."""
    return f"slo:{kind}:sum"


SUMMED_AT = "slo:sum:time"  # when the sums were made, in seconds since 1970


def increase(kind: str, span_ms: int) -> str:
    """Events counted from the raw counters over a long span, for repairing gaps: `slo:total:increase1d`."""
    return f"slo:{kind}:increase{duration_text(span_ms)}"


def missing(kind: str, span_ms: int) -> str:
    """Events that the rollups of a long span miss: `slo:total:missing1d`."""
    return f"slo:{kind}:{MISSING}{duration_text(span_ms)}"


SEVERITIES = ("critical", "warning", "info")
WATCHDOG_SEVERITY = "none"  # as kube-prometheus' Watchdog: common inhibitions silence `info`
