"""The counters of a ratio against each other, and metrics that are not of the kind that the spec needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType

from freezeline.problems import Problems
from generator.checks import queries
from generator.checks.queries import Query
from generator.model.spec import OutputSet
from generator.promql import lint as promql_lint
from generator.promql.text import Selector

CODES = ("sli/same", "sli/excluded", "sli/subset", "sli/swapped", "sli/not-a-counter", "sli/not-a-histogram")

_COUNTED = ("bad", "good", "total", "increase_of")
_STATUS_LABELS = frozenset({"code", "status", "status_code", "response_code", "http_status_code"})

# Whether a value passes a matcher. Prometheus anchors patterns at both ends.
_PASSES: MappingProxyType[str, Callable[[str, str], bool]] = MappingProxyType(
    {
        "=": lambda pattern, value: value == pattern,
        "!=": lambda pattern, value: value != pattern,
    }
)


def check(output_set: OutputSet, problems: Problems) -> None:
    """Report counters that exclude each other, and metrics of the wrong kind."""
    for spec in output_set.specs:
        for slo in spec.slos:
            _check(queries.of_slo(slo), problems)
        for alert in spec.alerts:
            _check(queries.of_alert(alert), problems)


def _check(found: tuple[Query, ...], problems: Problems) -> None:
    by_role = {query.role: query for query in found}
    for query in found:
        if query.selector is None:
            continue
        if query.role in _COUNTED:
            _check_counter(query, query.selector, problems)
        elif query.role == "histogram":
            _check_histogram(query, query.selector, problems)
    total = by_role.get("total")
    for role in ("bad", "good"):
        part = by_role.get(role)
        if part is not None and part.selector is not None:
            _check_sense(part, part.selector, problems)
            if total is not None and total.selector is not None:
                _check_part(part, part.selector, total.selector, problems)


def _check_counter(query: Query, selector: Selector, problems: Problems) -> None:
    metric = selector.metric
    if metric.endswith("_bucket") and all(name != "le" for name, _, _ in selector.matchers):
        message = f"{query.what}.{query.role}: {metric} counts each event in several buckets"
        hint = f'write {metric.removesuffix("_bucket")}_count, choose one bucket with `le="…"`, or use `histogram:`'
    elif metric.endswith("_sum"):
        message = f"{query.what}.{query.role}: {metric} adds up values and does not count events"
        hint = f"write {metric.removesuffix('_sum')}_count"
    elif promql_lint.is_recorded_rate(metric):
        message = f"{query.what}.{query.role}: {metric} is a recorded rate, not a counter"
        hint = f"write the query `avg_over_time({metric}[$window])`"
    elif any(name == "quantile" for name, _, _ in selector.matchers):
        message = f"{query.what}.{query.role}: {metric} with `quantile` is a quantile of a summary, not a counter"
        hint = f"write {metric}_count, or use `histogram:`"
    else:
        return
    problems.add("sli/not-a-counter", query.position, message, hint)


def _check_histogram(query: Query, selector: Selector, problems: Problems) -> None:
    for name, _, _ in selector.matchers:
        if name == "le":
            message = f"{query.what}: {selector.text} selects a bucket, but `below` already does"
            hint = "remove `le` from the selector"
        elif name == "quantile":
            message = f"{query.what}: {selector.text} is a summary, and quantiles cannot be added up"
            hint = "name a histogram, or write `value:` with `max:` for time slices"
        else:
            continue
        problems.add("sli/not-a-histogram", query.position, message, hint)


def _check_sense(query: Query, selector: Selector, problems: Problems) -> None:
    """Warn of a good event with a 5xx status, or a bad event with 2xx: the two are probably swapped."""
    wrong = "5" if query.role == "good" else "2"
    for name, op, value in selector.matchers:
        if name in _STATUS_LABELS and op in ("=", "=~") and value.removeprefix("^").startswith(wrong):
            message = f'{query.what}: events with {name}{op}"{value}" count as {query.role}'
            other = "bad" if query.role == "good" else "good"
            hint = f"did you mean `{other}:` instead of `{query.role}:`?"
            problems.add("sli/swapped", query.position, message, hint, warning=True)


def _check_part(query: Query, part: Selector, total: Selector, problems: Problems) -> None:
    """Events that count as bad (or good) must be among all events."""
    if part.metric != total.metric:
        return
    if set(part.matchers) == set(total.matchers):
        always = "fails" if query.role == "bad" else "succeeds"
        message = f"{query.what}: `{query.role}` and `total` count the same events, so every event {always}"
        hint = f'add a label to `{query.role}`, such as `{{code=~"5.."}}`'
        problems.add("sli/same", query.position, message, hint)
        return
    for matcher in total.matchers:
        if matcher not in part.matchers:
            _check_matcher(query, part, matcher, problems)


def _check_matcher(query: Query, part: Selector, matcher: tuple[str, str, str], problems: Problems) -> None:
    name, op, value = matcher
    shown = f'{name}{op}"{value}"'
    own = [(own_op, own_value) for own_name, own_op, own_value in part.matchers if own_name == name]
    texts = [own_value for own_op, own_value in own if own_op == "="]
    if any(_passes(op, value, text) is True for text in texts):
        return
    if any(_passes(op, value, text) is False for text in texts) or any(_opposite(op, value, one) for one in own):
        message = f"{query.what}: `total` leaves out events that `{query.role}` counts ({shown})"
        hint = f"remove {shown} from `total`"
        problems.add("sli/excluded", query.position, message, hint)
        return
    if not own:
        message = f"{query.what}: `total` filters on {shown}, but `{query.role}` does not"
        problems.add("sli/subset", query.position, message, f"add {shown} to `{query.role}`", warning=True)


def _passes(op: str, pattern: str, text: str) -> bool | None:
    """Whether a value passes a matcher. None if Python cannot read the pattern."""
    if op in _PASSES:
        return _PASSES[op](pattern, text)
    try:
        matched = re.fullmatch(pattern, text) is not None
    except re.error:
        return None
    return matched == (op == "=~")


def _opposite(op: str, value: str, own: tuple[str, str]) -> bool:
    """Whether one matcher negates the other."""
    return own[1] == value and {op, own[0]} in ({"=", "!="}, {"=~", "!~"})
