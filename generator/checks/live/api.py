"""Asks a Prometheus: a few read-only calls of its HTTP API, each with a time limit."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

DEADLINE_S = 20.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024

Get = Callable[[str, list[tuple[str, str]]], Any]


class PrometheusError(Exception):
    """Prometheus does not answer, or the answer is not Prometheus'. Exit code 3."""


class Prometheus(Struct, frozen=True, kw_only=True):
    """A running Prometheus. Answers are kept, therefore one run asks each question once."""

    get: Get
    kept: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = field(default_factory=dict)

    def _ask(self, path: str, *parameters: tuple[str, str]) -> Any:
        key = (path, parameters)
        if key not in self.kept:
            self.kept[key] = self.get(path, list(parameters))
        return self.kept[key]

    def exists(self, selector: str) -> bool:
        """Whether the selector had any series within the hours that Prometheus' head block holds."""
        return bool(self._ask("/api/v1/series", ("match[]", selector), ("limit", "1")))

    def label_values(self, label: str, selector: str = "") -> list[str]:
        """The values of a label among the series of a selector."""
        matched = [("match[]", selector)] if selector else []
        return [str(value) for value in self._ask(f"/api/v1/label/{label}/values", *matched)]

    def labels(self, selector: str) -> list[str]:
        """The labels that the series of a selector have."""
        return [str(label) for label in self._ask("/api/v1/labels", ("match[]", selector))]

    def kind(self, metric: str) -> str:
        """The metric's type as its exporter declares it (`counter`, `gauge`, …); empty if unknown or mixed."""
        declared = self._ask("/api/v1/metadata", ("metric", metric)).get(metric, [])
        kinds = {str(one.get("type", "")) for one in declared}
        return kinds.pop() if len(kinds) == 1 else ""

    def query(self, expression: str) -> list[Mapping[str, Any]]:
        """The instant vector of a query, as the API returns it."""
        answer = self._ask("/api/v1/query", ("query", expression))
        return list(answer["result"]) if answer.get("resultType") == "vector" else []

    def query_range(self, expression: str, start_s: int, end_s: int, step_s: int) -> list[Mapping[str, Any]]:
        """The matrix of a range query, as the API returns it. The answer is not kept, because it may be large."""
        parameters = [("query", expression), ("start", str(start_s)), ("end", str(end_s)), ("step", str(step_s))]
        answer = self.get("/api/v1/query_range", parameters)
        return list(answer["result"]) if answer.get("resultType") == "matrix" else []

    def version(self) -> tuple[int, ...]:
        """Prometheus' version, such as (3, 15, 0); empty if not reported. Distributions append their own parts."""
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", str(self._ask("/api/v1/status/buildinfo").get("version", "")))
        return tuple(map(int, numbers.groups())) if numbers is not None else ()

    def retention(self) -> str:
        """Prometheus' retention as `/status` reports it: `15d`, `15d or 10GiB`, `10GiB`; empty if not reported."""
        return str(self._ask("/api/v1/status/runtimeinfo").get("storageRetention", ""))

    def scrape_intervals(self) -> dict[str, str]:
        """The longest scrape interval of each job, as a duration."""
        targets = self._ask("/api/v1/targets", ("state", "active")).get("activeTargets", [])
        found: dict[str, str] = {}
        for target in targets:
            job, interval = str(target.get("labels", {}).get("job", "")), str(target.get("scrapeInterval", ""))
            if interval:
                found[job] = interval
        return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the headers may hold a secret, which no other server may get."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse; the answer is then an error with its status."""


def connect(url: str, headers: Mapping[str, str] | None = None) -> Prometheus:
    """The Prometheus at a base URL, without asking it. Each request carries `headers`.

    Raises PrometheusError if the text is no http(s) URL.
    """
    base = url.rstrip("/")
    parts = urllib.parse.urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PrometheusError(f"{url} is not an http:// or https:// URL")
    sent = {"Accept": "application/json", **(headers or {})}
    opener = urllib.request.build_opener(_NoRedirect) if headers else urllib.request.build_opener()
    return Prometheus(get=lambda path, parameters: _get(opener, base, path, parameters, sent))


def _get(
    opener: urllib.request.OpenerDirector,
    base: str,
    path: str,
    parameters: list[tuple[str, str]],
    headers: Mapping[str, str],
) -> Any:
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    request = urllib.request.Request(f"{base}{path}{query}", headers=dict(headers))  # noqa: S310 - connect allows http and https only
    try:
        with opener.open(request, timeout=DEADLINE_S) as response:
            body = response.read(MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        detail = error.read(500).decode("utf-8", "replace")
        raise PrometheusError(f"{base}{path}: status {error.code}: {detail}") from error
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise PrometheusError(f"Prometheus at {base} does not answer: {reason}") from error
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise PrometheusError(f"{base}{path} does not answer with JSON: is this a Prometheus?") from error
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise PrometheusError(f"{base}{path} does not answer like Prometheus: is this a Prometheus?")
    return answer.get("data")
