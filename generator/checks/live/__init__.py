"""Checks against a running Prometheus: whether the metrics, labels and buckets that a spec names exist there.

Each check is a module with `check(output_set, prometheus, problems)`, listed in the registry `LIVE_CHECKS`. This wing
may import `checks` and what lies below it. Begin to read with `presence`; `api` holds the calls of Prometheus' API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from freezeline.problems import Problems
from generator.checks.live import buckets, kinds, presence, quoted, storage
from generator.checks.live.api import Prometheus, PrometheusError, connect
from generator.model.spec import OutputSet

__all__ = ["LIVE_CHECKS", "Prometheus", "PrometheusError", "connect", "run"]

LIVE_CHECKS: Mapping[str, Callable[[OutputSet, Prometheus, Problems], None]] = MappingProxyType(
    {
        "presence": presence.check,
        "kinds": kinds.check,
        "buckets": buckets.check,
        "storage": storage.check,
    }
)


def run(output_set: OutputSet, prometheus: Prometheus, problems: Problems) -> None:
    """Run every check. Raises PrometheusError if Prometheus does not answer.

    Queries that this Prometheus cannot read end the checks: asking for them would be refused.
    """
    before = problems.error_count
    quoted.check(output_set, prometheus, problems)
    if problems.error_count > before:
        return
    for check in LIVE_CHECKS.values():
        check(output_set, prometheus, problems)
