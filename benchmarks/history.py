"""A past that never was, in a real Prometheus: raw counters as blocks, rules evaluated over them by its own engine.

`write_counters` makes blocks through promtool. `TimeMachine` then evaluates rules as the rule manager would have, layer
by layer, and hands the results back through remote write, so that later layers (and later evaluations of the same rule)
read them. Outages are spans without scrapes and without evaluations. Where a series ends while rules are evaluated,
Prometheus writes a staleness marker, and so does this.
"""

from __future__ import annotations

import json
import math
import struct
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cramjam
from msgspec import Struct

STALE_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
MAX_POINTS = 500  # of one answer: short spans have few series where series come and go
HTTP_TIMEOUT_S = 300.0
PROMTOOL_TIMEOUT_S = 900.0

Labels = Mapping[str, str]
Samples = Sequence[tuple[float, float]]  # (time in seconds, value)


class Series(Struct, frozen=True, kw_only=True):
    """One series of samples; labels and samples may be encoded already (`encoded_labels`, `encoded`)."""

    labels: Labels | bytes
    samples: Samples | bytes


def write_counters(promtool: Path, data: Path, metric: str, series: Iterable[Series]) -> None:
    """Write counters as blocks of real TSDB. `metric` ends in `_total`. Raises CalledProcessError."""
    text = data.parent / f"{metric}.om"
    with text.open("w") as file:
        file.write(f"# TYPE {metric.removesuffix('_total')} counter\n")
        for each in series:
            if isinstance(each.samples, bytes) or isinstance(each.labels, bytes):
                raise TypeError("blocks are made from what is not encoded")
            labels = ",".join(f"{name}={json.dumps(value)}" for name, value in each.labels.items())
            head = f"{metric}{{{labels}}} "
            file.writelines(f"{head}{value:.10g} {at:.3f}\n" for at, value in each.samples)
        file.write("# EOF\n")
    options = ["--max-block-duration=768h", "openmetrics"]
    command = [str(promtool), "tsdb", "create-blocks-from", *options, str(text), str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=PROMTOOL_TIMEOUT_S)
    text.unlink()


class Recording(Struct, frozen=True, kw_only=True):
    """A recording rule as the machine needs it: the expression, the name and the labels of what it records."""

    record: str
    expr: str
    labels: Labels


class TimeMachine(Struct, frozen=True):
    """Evaluates rules at past instants. The Prometheus needs the remote-write receiver and an out-of-order window.

    Other engines speak the same protocol; `params` are what their rulers add to each query, and `headers` to all.
    """

    url: str
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    write_url: str = ""

    def run(self, rules: Sequence[Recording], times: Sequence[Span], step_s: float) -> None:
        """Evaluate rules that do not read their own results, each over all spans at once."""
        for rule in rules:
            for span in times:
                found: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
                for chunk in span.chunks(step_s):
                    for labels, samples in self._range(rule.expr, chunk, step_s):
                        found.setdefault(tuple(sorted(labels.items())), []).extend(samples)
                self._write(rule, [(dict(labels), samples) for labels, samples in found.items()], span, step_s)

    def run_in_order(self, rules: Sequence[Recording], instants: Iterable[float]) -> None:
        """Evaluate rules that read their own earlier results: at each instant, one after the other."""
        for at in instants:
            for rule in rules:
                found = self.query(rule.expr, at)
                written = [(self._named(rule, labels), [(at, value)]) for labels, value in found]
                self.remote_write([Series(labels=labels, samples=samples) for labels, samples in written])

    def query(self, expr: str, at: float) -> list[tuple[dict[str, str], float]]:
        """An instant query's vector."""
        data = self._get("/api/v1/query", {"query": expr, "time": f"{at:.3f}"})
        return [(item["metric"], float(item["value"][1])) for item in data["result"]]

    def _range(self, expr: str, span: Span, step_s: float) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        words = {"query": expr, "start": f"{span.start:.3f}", "end": f"{span.end:.3f}", "step": f"{step_s:g}"}
        data = self._get("/api/v1/query_range", words)
        return [
            (item["metric"], [(float(at), float(value)) for at, value in item["values"]]) for item in data["result"]
        ]

    def _get(self, path: str, words: Mapping[str, str]) -> Any:
        body = urllib.parse.urlencode({**self.params, **words}).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=dict(self.headers))
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode(errors="replace")[:4000])
            raise

    def _named(self, rule: Recording, labels: Labels) -> dict[str, str]:
        return {**labels, "__name__": rule.record, **rule.labels}

    def _write(
        self,
        rule: Recording,
        found: list[tuple[dict[str, str], list[tuple[float, float]]]],
        span: Span,
        step_s: float,
    ) -> None:
        self.remote_write(
            Series(labels=self._named(rule, labels), samples=list(_with_stale_markers(samples, span, step_s)))
            for labels, samples in found
        )

    def remote_write(self, series: Iterable[Series]) -> None:
        """Hand samples to Prometheus (remote write 1.0: a snappy block of a protobuf message)."""
        message = b"".join(_field(1, _time_series(each)) for each in series if each.samples)
        if not message:
            return
        headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
            **self.headers,
        }
        body = bytes(cramjam.snappy.compress_raw(message))
        request = urllib.request.Request(self.write_url or f"{self.url}/api/v1/write", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
            answer.read()


class Span(Struct, frozen=True):
    """A span of time in which Prometheus runs; both ends in seconds, both evaluated."""

    start: float
    end: float

    def times(self, step_s: float) -> list[float]:
        """The instants of the span."""
        return [self.start + index * step_s for index in range(int((self.end - self.start) / step_s) + 1)]

    def chunks(self, step_s: float) -> Iterator[Span]:
        """The span in parts that one range query may answer."""
        at = self.start
        while at <= self.end:
            end = min(self.end, at + (MAX_POINTS - 1) * step_s)
            yield Span(at, end)
            at += MAX_POINTS * step_s


def live_spans(start: float, end: float, outages: Sequence[tuple[float, float]], step_s: float) -> list[Span]:
    """The evaluation times of a group (start + n × step) that fall outside of all outages."""
    spans = []
    at = start
    for begins, ends in [*sorted(outages), (end + step_s, end + step_s)]:
        count = math.floor((min(begins, end + step_s / 2) - at) / step_s)
        last = at + count * step_s
        if last >= begins:
            last -= step_s
        if last >= at:
            spans.append(Span(at, last))
        at = start + math.ceil((ends - start) / step_s) * step_s
    return spans


def _with_stale_markers(samples: Samples, span: Span, step_s: float) -> Iterator[tuple[float, float]]:
    """The samples, with a marker at the first evaluation that gave none."""
    previous: float | None = None
    for at, value in samples:
        if previous is not None and at - previous > 1.5 * step_s:
            yield previous + step_s, STALE_NAN
        yield at, value
        previous = at
    if previous is not None and previous + step_s <= span.end:
        yield previous + step_s, STALE_NAN


# -- protobuf, as much of it as remote write needs


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _time_series(series: Series) -> bytes:
    labels = series.labels if isinstance(series.labels, bytes) else encoded_labels(series.labels)
    return labels + (series.samples if isinstance(series.samples, bytes) else encoded(series.samples))


def encoded_labels(labels: Labels) -> bytes:
    """Labels as remote write wants them; a series that is written in many parts needs them once."""
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(labels.items())
        if value
    )


def encoded(samples: Samples) -> bytes:
    """Samples as remote write wants them; many series may share them."""
    return b"".join(
        _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(round(at * 1000))) for at, value in samples
    )


def encoded_histograms(samples: Sequence[tuple[float, int, int]]) -> bytes:
    """Native histograms as remote write wants them: (time, observations in (1/8, 1/4], observations in (1/2, 1]).

    Schema 0 has a bucket per power of two: the buckets -2 and 0, each a span of one.
    """
    spans = _field(11, b"\x08" + _varint(_zigzag(-2)) + b"\x10\x01") + _field(
        11, b"\x08" + _varint(_zigzag(1)) + b"\x10\x01"
    )
    parts = []
    for at, low, high in samples:
        deltas = _varint(_zigzag(low)) + _varint(_zigzag(high - low))
        body = b"\x08" + _varint(low + high) + b"\x19" + struct.pack("<d", 0.2 * low + 0.8 * high) + b"\x20\x00"
        body += b"\x29" + struct.pack("<d", 1e-128) + b"\x30\x00" + spans + _field(12, deltas)
        parts.append(_field(4, body + b"\x78" + _varint(round(at * 1000))))
    return b"".join(parts)


def _zigzag(number: int) -> int:
    return number * 2 if number >= 0 else -number * 2 - 1
