"""Reads `dashboard`: panels that the owner adds, and the dashboard's name and place in Grafana.

Every dashboard shows SLOs, alerts and freezes without this section.
"""

from __future__ import annotations

import re
from decimal import Decimal

from freezeline.problems import nearest
from generator import panels
from generator.conditions.quantile_of import quantile_query
from generator.conditions.ratio import read_selector
from generator.model.dashboard import (
    DEFAULT_RANGE_MS,
    DEFAULT_REFRESH_MS,
    Dashboard,
    Link,
    PanelQuery,
    PanelSpec,
    Thresholds,
)
from generator.promql.check import Want
from generator.reading.reader import Reader, as_decimal
from generator.reading.source import Value
from generator.sli.histogram import check_histogram_name
from generator.units import MINUTE, SECOND, decimal_text, duration_text

DEFAULT_OVER_MS = 5 * MINUTE
DEFAULT_QUANTILES = (Decimal("0.5"), Decimal("0.95"), Decimal("0.99"))

_GRAFANA_RANGES = ("$__rate_interval", "$__interval", "$__range")
_QUERY_KEYS = ("query", "p95_of", "quantiles_of")
_P95 = Decimal("0.95")


def parse(reader: Reader) -> Dashboard:
    """The `dashboard` section. Every problem is reported; a panel with a problem is left out."""
    refresh_ms = reader.duration_ms("refresh", DEFAULT_REFRESH_MS, at_least=5 * SECOND)
    range_ms = reader.duration_ms("range", DEFAULT_RANGE_MS, at_least=MINUTE)
    links = _links(reader)
    found = []
    for panel_reader in reader.readers("panels"):
        panel = _panel(panel_reader)
        panel_reader.finish()
        if not panel_reader.failed:
            found.append(panel)
    reader.finish()
    return Dashboard(
        refresh_ms=refresh_ms, range_ms=range_ms, panels=tuple(found), links=links, position=reader.position
    )


def _panel(reader: Reader) -> PanelSpec:
    title = reader.text("title")
    kind = reader.choice("type", tuple(panels.PANELS), "timeseries")
    unit = reader.text("unit", "short")
    _check_unit(reader, unit)
    return PanelSpec(
        title=title,
        type=kind,
        queries=_queries(reader),
        unit=unit,
        position=reader.position,
        description=reader.text("description", title),
        thresholds=_thresholds(reader),
        minimum=_optional_decimal(reader, "min"),
        maximum=_optional_decimal(reader, "max"),
        decimals=reader.integer("decimals") if reader.has("decimals") else None,
        links=_links(reader),
    )


def _queries(reader: Reader) -> tuple[PanelQuery, ...]:
    """The panel's queries, from the one key that names them."""
    written = [key for key in _QUERY_KEYS if reader.has(key)]
    legend = reader.text("legend", "__auto")
    if len(written) != 1:
        what = "has no query" if not written else f"has {' and '.join(written)}"
        reader.fail(
            "dashboard/query",
            f"{reader.what} {what}",
            f"write exactly one of {', '.join(f'`{key}:`' for key in _QUERY_KEYS)}",
        )
        return ()
    if written == ["query"]:
        return (PanelQuery(expr=_free_query(reader), legend=legend),)
    key = written[0]
    histogram = read_selector(reader, key)
    check_histogram_name(reader, key, histogram)
    over = duration_text(reader.duration_ms("over", DEFAULT_OVER_MS))
    by, native = reader.labels("by"), reader.boolean("native", False)
    quantiles = _quantiles(reader) if key == "quantiles_of" else (_P95,)
    suffix = "".join(f" {{{{{label}}}}}" for label in by)
    return tuple(
        PanelQuery(
            expr=quantile_query(histogram, quantile, over, by, native=native),
            legend=f"p{decimal_text(quantile * 100)}{suffix}" if legend == "__auto" else legend,
        )
        for quantile in quantiles
    )


def _free_query(reader: Reader) -> str:
    """A query with Grafana's own variables. For the check, Grafana's range variables count as 5m."""
    text = reader.text("query")
    value = reader.value("query")
    if text and value is not None:
        checked = text
        for name in _GRAFANA_RANGES:
            checked = checked.replace(name, "5m")
        reader.check_promql(checked, Want.NUMBER, value)
    return text


def _quantiles(reader: Reader) -> tuple[Decimal, ...]:
    if not reader.has("q"):
        return DEFAULT_QUANTILES
    found = _decimals(reader, "q")
    for value, quantile in found:
        if not 0 < quantile < 1:
            hint = "write 0.95 for the value that 95 % of all observations stay below"
            reader.problems.add(
                "dashboard/quantile", value.position, f"{reader.what}.q: {value.text} is not between 0 and 1", hint
            )
    return tuple(quantile for _, quantile in found)


def _thresholds(reader: Reader) -> Thresholds | None:
    """`steps: [yellow, red]` if high values are bad, `falling: [yellow, red]` if low values are."""
    if reader.has("steps") and reader.has("falling"):
        reader.fail(
            "dashboard/steps",
            f"{reader.what} has both `steps` and `falling`",
            "keep `steps` if high values are bad, `falling` if low values are",
            key="falling",
        )
        return None
    for key in ("steps", "falling"):
        if not reader.has(key):
            continue
        limits = [limit for _, limit in _decimals(reader, key)]
        falling = key == "falling"
        if len(limits) != 2 or (limits[0] <= limits[1] if falling else limits[0] >= limits[1]):
            order = "smaller" if falling else "larger"
            message = f"{reader.what}.{key} must be two numbers, the second {order}"
            reader.fail(
                "dashboard/steps",
                message,
                f"write `{key}: {'[1, 0]' if falling else '[70, 90]'}`: where yellow begins, then where red begins",
                key=key,
            )
            return None
        return Thresholds(yellow=limits[0], red=limits[1], falling=falling)
    return None


def _decimals(reader: Reader, key: str) -> list[tuple[Value, Decimal]]:
    found = []
    for value in reader.values(key):
        try:
            found.append((value, as_decimal(value)))
        except ValueError:
            reader.problems.add(
                "spec/type",
                value.position,
                f"{reader.what}.{key}: {value.text!r} is not a number",
                "write digits without a unit, such as 0.5",
            )
    return found


def _optional_decimal(reader: Reader, key: str) -> Decimal | None:
    return reader.decimal(key) if reader.has(key) else None


def _links(reader: Reader) -> tuple[Link, ...]:
    """Links to web pages. Other schemes could run a script in the reader's browser."""
    found = []
    for link in reader.readers("links"):
        title, url = link.text("title"), link.text("url")
        link.finish()
        if url and not re.match(r"https?://|/(?!/)", url):
            link.fail(
                "dashboard/link",
                f"{link.what}.url: {url!r} is not a web address",
                "write an address that begins with https://, http:// or /",
                key="url",
            )
        if not link.failed:
            found.append(Link(title=title, url=url))
    return tuple(found)


def _check_unit(reader: Reader, unit: str) -> None:
    if panels.is_unit(unit):
        return
    near = nearest(unit, panels.UNITS)
    hint = (
        f"did you mean `{near}`?"
        if near
        else "write a unit of Grafana: short, percent, percentunit, ms, s, reqps, bytes, …"
    )
    message = f"Grafana 9 does not know the unit {unit!r}, and would show the bare number"
    reader.problems.add("dashboard/unit", reader.at("unit"), message, hint, warning=True)
