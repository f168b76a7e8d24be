"""An alert's value for people, as templates that every Prometheus since 2.40 can fill in.

Prometheus' templates cannot multiply. What they have says `2.308%`, `3m 5s` and `1.465Mi`, and replacing a pattern puts
the space and the unit's usual name there.
"""

from __future__ import annotations

PERCENT = '{{ $value | humanizePercentage | reReplaceAll "%" " %" }}'
PERCENT_UNSIGNED = '{{ $value | humanizePercentage | reReplaceAll "-?(.+)%" "$1 %" }}'
COUNT = '{{ $value | printf "%.0f" }}'
SECONDS = '{{ $value | humanizeDuration | reReplaceAll "([0-9])([a-z]+)" "$1 $2" | reReplaceAll " m( |$)" " min$1" }}'
MILLISECONDS = '{{ $value | printf "%.4g" }} ms'
BYTES = '{{ $value | humanize1024 | reReplaceAll "([A-Z]i)?$" " ${1}B" }}'
_BELOW_ONE = "and (gt $value -1.0) (lt $value 1.0)"
NUMBER = (
    f'{{{{ if {_BELOW_ONE} }}}}{{{{ $value | printf "%.4g" }}}}{{{{ else }}}}{{{{ $value | humanize }}}}{{{{ end }}}}'
)
"""A number without a unit. `humanize` writes 0.0718 as `71.8m`, and `%.4g` writes 1200000 as `1.2e+06`."""

_MILLISECONDS = ("_ms", "_milliseconds", "_millis")
_COUNTER = "_total"


def by_name(metric: str) -> str:
    """The template for the unit that a metric's name ends with, as Prometheus' own naming rules ask; "" without one."""
    name = metric.removesuffix(_COUNTER)
    if name.endswith("_seconds"):
        return SECONDS
    if name.endswith(_MILLISECONDS):
        return MILLISECONDS
    return BYTES if name.endswith("_bytes") else ""
