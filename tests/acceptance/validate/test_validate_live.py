"""`freezeline validate` with real promtools, and against a real Prometheus that scrapes a real exporter."""

import contextlib
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from freezeline.cli import main
from tests.tools import Generation, PrometheusServer, prometheus_server
from tests.unit.generator import specs
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

SCRAPED_DEADLINE_S = 30.0

METRICS = """\
# TYPE http_requests_total counter
http_requests_total{code="200",route="/"} 100
http_requests_total{code="404",route="/"} 3
# TYPE jobs_failed_total counter
jobs_failed_total 0
# TYPE queue_length gauge
queue_length 5
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 1
latency_seconds_bucket{le="0.5"} 2
latency_seconds_bucket{le="+Inf"} 3
latency_seconds_sum 2
latency_seconds_count 3
# TYPE old_latency_seconds summary
old_latency_seconds{quantile="0.95"} 0.3
old_latency_seconds_sum 2
old_latency_seconds_count 3
# TYPE failed_percent gauge
failed_percent 2.5
"""

CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: web
    static_configs: [{{targets: ["{target}"]}}]
"""


class Exporter(http.server.BaseHTTPRequestHandler):
    """Answers every request with the metrics above."""

    def do_GET(self) -> None:
        """The metrics, in Prometheus' text format."""
        body = METRICS.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture(scope="module")
def prometheus(generation: Generation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus that keeps ten days and has scraped the exporter."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        stack.callback(thread.join, 10)
        stack.callback(server.shutdown)
        config = CONFIG.format(target=f"127.0.0.1:{server.server_address[1]}")
        folder = tmp_path_factory.mktemp("prometheus")
        flags = ["--storage.tsdb.retention.time=10d"]
        running = stack.enter_context(prometheus_server(generation, folder, config, flags=flags))
        wait_until(lambda: running.query("http_requests_total"), SCRAPED_DEADLINE_S, "the exporter is scraped")
        metadata = {"metric": "queue_length"}
        wait_until(
            lambda: running.get("/api/v1/metadata", metadata)["data"], SCRAPED_DEADLINE_S, "the metadata is there"
        )
        yield running


def problems(prometheus: PrometheusServer, folder: Path, body: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and problems of `validate` against the Prometheus."""
    path = folder / "checkout.yaml"
    path.write_text(specs.HEAD + body, encoding="utf-8")
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        code = main(["validate", "--no-promtool", "--json", "--prometheus", prometheus.url, str(path)])
    return code, json.loads(stdout.getvalue())["problems"]


WEEK = "defaults: {window: 7d, scrape: 1s}\n"
TOTAL = "total: http_requests_total"
CASES = {
    "live/no-metric": (WEEK + specs.slo("objective: 99\nsli: {bad: jobs_failed_total, total: jobs_totl}"), "", 1),
    "live/no-label": (
        WEEK + specs.slo(f"objective: 99\nsli: {{bad: 'http_requests_total{{cod=~\"5..\"}}', {TOTAL}}}"),
        "did you mean `code`?",
        1,
    ),
    "live/no-series": (
        WEEK + specs.slo("objective: 99\nsli: {bad: jobs_failed_total, total: 'http_requests_total{route=\"/x\"}'}"),
        "did you mean `/`?",
        1,
    ),
    "live/kind": (WEEK + specs.slo(f"objective: 99\nsli: {{bad: queue_length, {TOTAL}}}"), "", 0),
    "live/ratio-range": (
        WEEK + specs.slo("objective: 99\nsli: {error_ratio: failed_percent}"),
        "divide a percentage by 100",
        1,
    ),
    "live/bucket": (
        WEEK + specs.slo("objective: 99\nsli: {histogram: latency_seconds, below: 300ms}"),
        "write `below: 0.1` or `below: 0.5`",
        1,
    ),
    "live/histogram-kind": (
        WEEK + specs.slo("objective: 99\nsli: {histogram: latency_seconds, below: 500ms, native: true}"),
        "remove `native: true`",
        1,
    ),
    "live/retention": (
        "defaults: {window: 30d, scrape: 1s}\n"
        + specs.slo(f"objective: 99\nsli: {{bad: 'http_requests_total{{code=~\"5..\"}}', {TOTAL}}}"),
        "--storage.tsdb.retention.time",
        1,
    ),
    "live/scrape": (
        "defaults: {window: 7d, scrape: 500ms}\n"
        + specs.slo(f"objective: 99\nsli: {{bad: 'http_requests_total{{code=~\"5..\"}}', {TOTAL}}}"),
        "scrape: 1s",
        0,
    ),
}


@pytest.mark.parametrize("code", CASES)
def test_what_does_not_exist_is_reported(code: str, prometheus: PrometheusServer, tmp_path: Path) -> None:
    """Each live check finds its mistake, alone, with a hint that mends it."""
    body, hint, exit_code = CASES[code]
    found = problems(prometheus, tmp_path, body)
    assert [problem["code"] for problem in found[1]] == [code]
    assert hint in found[1][0]["hint"]
    assert found[0] == exit_code


def test_a_spec_that_fits_has_no_problem(prometheus: PrometheusServer, tmp_path: Path) -> None:
    """Bad events that never happened are no mistake, nor is a bound on a bucket."""
    body = (
        WEEK
        + """slos:
  availability: {objective: 99, sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}}
  latency: {objective: 99, sli: {histogram: latency_seconds, below: 500ms}}
  queue: {objective: 99, sli: {value: queue_length, max: 50, slice: 1m}}
alerts:
  Queue: {when: 'queue_length > 50', severity: warning}
  Failed: {increase_of: jobs_failed_total, over: 5m, above: 3, severity: warning}
  Slow: {p95_of: latency_seconds, over: 5m, above: 1s, severity: warning}
"""
    )
    assert problems(prometheus, tmp_path, body) == (0, [])


def test_names_in_quotes_need_prometheus_3(
    prometheus: PrometheusServer, generation: Generation, tmp_path: Path
) -> None:
    """An old Prometheus would refuse the rule file, which the check says; a new one is asked for the metric."""
    body = WEEK + specs.slo(f'objective: 99\nsli: {{bad: \'{{"http.failed","http.code"=~"5.."}}\', {TOTAL}}}')
    code, found = problems(prometheus, tmp_path, body)
    expected = (1, ["live/quoted-names"]) if generation.label == "old" else (0, ["live/no-metric"])
    assert (code, [problem["code"] for problem in found]) == expected


def test_buckets_exist_in_whichever_spelling(prometheus: PrometheusServer, tmp_path: Path) -> None:
    """`le="0.50"` and `le="5e-1"` are the bucket that the exporter writes as 0.5."""
    for bound in ("0.50", "5e-1"):
        good = f'latency_seconds_bucket{{le="{bound}"}}'
        body = WEEK + specs.slo(f"objective: 99\nsli: {{good: '{good}', total: latency_seconds_count}}")
        assert problems(prometheus, tmp_path, body) == (0, [])


def test_a_summary_is_no_histogram(prometheus: PrometheusServer, tmp_path: Path) -> None:
    """A summary under `histogram:` is reported as what its exporter declares."""
    body = WEEK + specs.slo("objective: 99\nsli: {histogram: old_latency_seconds, below: 500ms}")
    code, found = problems(prometheus, tmp_path, body)
    assert (code, [problem["code"] for problem in found]) == (1, ["live/kind"])


def test_promtool_agrees(generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sound spec passes the real promtool, and the summary names its version."""
    path = tmp_path / "checkout.yaml"
    path.write_text(specs.HEAD + specs.slo(f"objective: 99.9\n{specs.BAD_TOTAL}"), encoding="utf-8")
    assert main(["validate", "--promtool", str(generation.promtool), str(path)]) == 0
    assert capsys.readouterr().out.startswith("ok: 1 spec, 1 SLO, 0 alerts; promtool ")


def test_names_in_quotes_need_promtool_3(
    generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old promtool refuses every rule in its parser's words; one problem for each query says why, and where."""
    path = tmp_path / "checkout.yaml"
    body = f'objective: 99\nsli: {{bad: \'{{"http.failed","http.code"=~"5.."}}\', {TOTAL}}}'
    path.write_text(specs.HEAD + specs.slo(body), encoding="utf-8")
    code = main(["validate", "--json", "--promtool", str(generation.promtool), str(path)])
    found = [(problem["code"], problem["line"]) for problem in json.loads(capsys.readouterr().out)["problems"]]
    assert (code, found) == ((1, [("promtool/quoted-names", 7)]) if generation.label == "old" else (0, []))


def test_promtool_objects_at_the_line_of_the_spec(
    generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rule that only promtool refuses (here: an experimental function) is reported where the spec asked for it."""
    path = tmp_path / "checkout.yaml"
    body = """alerts:
  Fine: {when: up == 0, severity: info}
  Broken: {when: 'mad_over_time(up[5m]) > 0', severity: info}
"""
    path.write_text(specs.HEAD + body, encoding="utf-8")
    code = main(["validate", "--json", "--promtool", str(generation.promtool), str(path)])
    found = json.loads(capsys.readouterr().out)["problems"]
    assert (code, {(problem["code"], problem["line"]) for problem in found}) == (1, {("promtool/rules", 6)})
    assert "mad_over_time" in found[0]["message"]
