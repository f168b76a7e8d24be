"""Any input gives an answer without a traceback, and every accepted spec can be rendered."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freezeline.cli import main
from generator import pipeline
from tests.unit.generator import specs

SPECS = [data for _, data in specs.good()]
LAUNCH = dict(specs.good())["day0-launch.yaml"]
NASTY = (
    "null",
    "~",
    "[]",
    "{}",
    "true",
    "-1",
    "0",
    "1e400",
    "NaN",
    ".inf",
    "99999999999999999999999999999999999",
    "''",
    '"\\0"',
    '"\\n"',
    "'{{ $labels.x }}'",
    "'${IMAGE}'",
    "0s",
    "1ms",
    "99y",
    "100%",
    "-5%",
    "0.0000000001",
    "'sum('",
    "'x{a=\"b\"}[5m]'",
    "vector(1)",
    "'x{y=\"5..\"} / on (a) group_left sum by (b) (z)'",
    "[a, [b, {c: d}]]",
    "{a: {b: [c]}}",
    "*undefined",
    "&x [*x]",
    "!!binary aGk=",
    "calendar month",
    "off",
    "/../..",
    "javascript:alert(1)",
    "é\u2028\ud7ff",
)
_SCALAR = re.compile(r"(?<=: )[^\s,{}\[\]]+|(?<=- )[^\s,{}\[\]]+")


def answer(data: bytes, folder: Path) -> tuple[int, str]:
    """Exit code and stderr of `validate` on a file with this content."""
    path = folder / "spec.yaml"
    path.write_bytes(data)
    stderr = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stderr):
        return main(["validate", "--no-promtool", str(path)]), stderr.getvalue()


def check(data: bytes, folder: Path) -> bool:
    """The command ends cleanly; a refusal names a place; an accepted spec renders into files that parse.

    Returns whether the spec was accepted.
    """
    code, stderr = answer(data, folder)
    assert code in (0, 1)
    if code == 1:
        assert re.search(r"spec\.yaml:\d+:\d+: error: .* \[[a-z]+/[a-z-]+\]", stderr), stderr
        return False
    loaded = pipeline.load_set([("spec.yaml", data)], "fuzz")
    rendered = pipeline.render_set(loaded.output_set)
    assert [fault.message for fault in rendered.faults] == []  # none is a mistake of Freezeline's own
    outputs = rendered.outputs
    assert any(path.endswith(".rules.yml") for path in outputs)
    for path, content in outputs.items():
        if path.endswith(".json"):
            json.loads(content)
        elif path.endswith((".yml", ".yaml")):
            yaml.load(content, Loader=yaml.CSafeLoader)
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the file under test."""
    return tmp_path_factory.mktemp("fuzz")


def examples(count: int) -> settings:
    """Settings for this many slow examples."""
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good spec with up to three things changed: bytes, lines, scalars or keys."""
    data = draw(st.sampled_from(SPECS))
    for _ in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from((flip, cut_line, swap_lines, indent_line, replace_scalar, rename_key)))
        data = change(data, draw)
    return data


def flip(data: bytes, draw: st.DrawFn) -> bytes:
    """Another byte in one place."""
    place = draw(st.integers(0, max(len(data) - 1, 0)))
    return data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]


def cut_line(data: bytes, draw: st.DrawFn) -> bytes:
    """Remove one line."""
    lines = data.splitlines(keepends=True)
    place = draw(st.integers(0, max(len(lines) - 1, 0)))
    return b"".join(lines[:place] + lines[place + 1 :])


def swap_lines(data: bytes, draw: st.DrawFn) -> bytes:
    """Swap two lines."""
    lines = data.splitlines(keepends=True)
    if len(lines) < 2:
        return data
    one, two = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
    lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def indent_line(data: bytes, draw: st.DrawFn) -> bytes:
    """Indent one line further."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    place = draw(st.integers(0, len(lines) - 1))
    lines[place] = b" " * draw(st.integers(1, 40)) + lines[place]
    return b"".join(lines)


def replace_scalar(data: bytes, draw: st.DrawFn) -> bytes:
    """Replace one value by a nasty one."""
    text = data.decode("utf-8", "replace")
    found = list(_SCALAR.finditer(text))
    if not found:
        return data
    match = draw(st.sampled_from(found))
    nasty = draw(st.sampled_from(NASTY) | st.text(max_size=20))
    return (text[: match.start()] + nasty + text[match.end() :]).encode("utf-8", "replace")


def rename_key(data: bytes, draw: st.DrawFn) -> bytes:
    """Rename one key to another key of the same spec."""
    text = data.decode("utf-8", "replace")
    keys = re.findall(r"\w+(?=:)", text)
    if not keys:
        return data
    old, new = draw(st.sampled_from(keys)), draw(st.sampled_from(keys))
    return text.replace(f"{old}:", f"{new}:", draw(st.integers(1, 3))).encode()


def test_mutated_specs(folder: Path) -> None:
    """Real specs with bytes flipped, lines cut and swapped, keys and values changed. Some remain good specs."""
    accepted = []

    @examples(200)
    @given(data=mutated())
    def each(data: bytes) -> None:
        accepted.append(check(data, folder))

    each()
    assert 10 < sum(accepted) < 100


@examples(80)
@given(data=st.binary(max_size=400))
def test_random_bytes(data: bytes, folder: Path) -> None:
    """Bytes of any kind."""
    check(data, folder)


@examples(80)
@given(text=st.text(alphabet="{}[]:,-&*!|>'\"%@`#? \n\tab0<~", max_size=120))
def test_yaml_punctuation(text: str, folder: Path) -> None:
    """Text of characters that mean something in YAML."""
    check(text.encode(), folder)


@examples(100)
@given(query=st.text(alphabet="abr({[]})\"'=~!,.:$%/*+-<> 015msu\\`@\n", max_size=60))
def test_promql_punctuation(query: str, folder: Path) -> None:
    """Text of characters that mean something in PromQL."""
    quoted = json.dumps(query)
    body = f"alerts:\n  A: {{when: {quoted}, severity: critical}}\n" + specs.slo(
        f"objective: 99\nsli: {{bad: {quoted}, total: {quoted}}}"
    )
    check((specs.HEAD + body).encode(), folder)


SELECTORS = (
    "x_total{code=~`5..`}",
    'x_total{code="5"} # errors',
    '# errors\nx_total{code="#"}',
    '{"http.requests", "http.code"="5"}',
    'x_total{service="a",code=\'a"b\'}',
    "(x_total)",
)
SHAPES = (
    "sum(rate(%s[$window]))",
    "sum by (service) (increase(%s[$window]))",
    "(sum(rate(%s[$window])) > 0) or vector(1) # idle",
    "clamp_min(sum(rate(x_total[$window])) - sum(rate(%s[$window])), 0)",
    "scalar(sum(rate(%s[$window])))",
    "sum(rate(%s[$window])) + scalar(sum(rate(y_total[$window])))",
    "sum(rate(%s[$window])) - 2 * 3",
    "absent(%s)",
    "count(%s == 1)",
    "avg_over_time(%s[$window])",
    "time() - max(%s)",
    "count_over_time((%s < 900)[$window:1m])",
)
PLACES = (
    "{bad: Q, total: 'sum(rate(x_total[$window]))'}",
    "{good: 'sum(rate(x_total[$window]))', total: Q}",
    "{error_ratio: Q}",
    "{error_ratio: '(%s) / sum(rate(x_total[$window]))'}",
    "{error_ratio: '1 - (%s) / sum(rate(x_total[$window]))', weight: 'sum(rate(x_total[$window]))'}",
    "{error_ratio: 'sum(rate(x_total[$window])) / (%s)'}",
    "{good_when: Q, slice: 1m}",
)


def test_every_shape_of_query(folder: Path) -> None:
    """Guards, numbers, comments, backticks and names in quotes, at every place of a query."""
    accepted = []

    @examples(200)
    @given(selector=st.sampled_from(SELECTORS), shape=st.sampled_from(SHAPES), place=st.sampled_from(PLACES))
    def each(selector: str, shape: str, place: str) -> None:
        query = shape.replace("%s", selector)
        sli = yaml.safe_load(place.replace("Q", json.dumps(query)))
        written = {key: value.replace("%s", query + "\n") for key, value in sli.items()}
        body = specs.slo(f"objective: 99\nsli: {json.dumps(written)}")
        accepted.append(check((specs.HEAD + body).encode(), folder))

    each()
    assert 60 < sum(accepted) < 200


INTERVALS, SCRAPES = st.sampled_from(["15s", "30s", "1m", "30s", "1m", "6h"]), st.sampled_from(["5s", "15s", "30s"])
SLICES = st.sampled_from(["1m", "2m"])
DURATIONS = st.sampled_from(["1s", "15s", "30s", "1m", "90s", "5m", "10m", "1h", "6h", "1d", "3d"])
QUERIES = st.sampled_from(
    [
        "up == 0",
        "sum(queue_length) > 50",
        "sum(queue_length) > 0 and sum(workers) == 0",
        "max by (route) (rate(errors_total[5m])) > 1",
        "sum(rate(errors_total[5m])) / sum(rate(requests_total[5m])) > 0.01",
        "histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[5m]))) > 1",
        "predict_linear(disk_free_bytes[1h], 3600) < 0",
        "absent(up)",
        "time() - last_success_seconds > 900",
        "vector(1)",
        "changes(ready[5m]) >= 3",
        "errors_total unless requests_total",
    ]
)
THRESHOLDS = st.sampled_from(["above: 1%", "above: 0", "at_least: 5", "below: 0.5", "at_most: 3", "above: 500ms"])
CONDITIONS = st.one_of(
    QUERIES.map(lambda query: f'when: "{query}"'),
    st.builds("ratio: {{bad: 'r_total{{code=~\"5..\"}}', total: r_total}}, over: {}, {}".format, DURATIONS, THRESHOLDS),
    st.builds("increase_of: errors_total, over: {}, {}".format, DURATIONS, THRESHOLDS),
    st.builds("changes_of: ready, over: {}, {}".format, DURATIONS, THRESHOLDS),
    st.builds("p95_of: latency_seconds, over: {}, {}".format, DURATIONS, THRESHOLDS),
    st.builds("p50_of: latency_ms, native: true, by: [route], over: {}, {}".format, DURATIONS, THRESHOLDS),
)
ALERTS = st.builds(
    "{{{}, severity: {}, for: {}, every: {}, consecutive: {}}}".format,
    CONDITIONS,
    st.sampled_from(["critical", "warning", "info"]),
    DURATIONS | st.just("0s"),
    DURATIONS,
    st.integers(1, 5),
)
SLIS = st.one_of(
    st.sampled_from(
        [
            "{bad: 'r_total{code=~\"5..\"}', total: r_total}",
            "{good: 'r_total{code!~\"5..\"}', total: r_total}",
            "{good: hits_total, total: served_total}",
            "{bad: 'sum(rate(e_total[$window]))', total: 'sum(rate(t_total[$window]))'}",
            "{histogram: latency_seconds, below: 300ms}",
            "{histogram: latency_seconds, below: 300ms, native: true}",
            "{error_ratio: 'my:ratio'}",
            "{error_ratio: 'avg_over_time(my:ratio[$window])', weight: 'sum(rate(t_total[$window]))'}",
        ]
    ),
    st.builds("{{good_when: 'up == 1', slice: {}}}".format, SLICES),
    st.builds("{{value: 'time() - done_seconds', max: {}, slice: {}}}".format, DURATIONS, SLICES),
)
WINDOWS = st.sampled_from(
    ["1d", "3d", "7d", "28d", "30d", "90d", "calendar week", "calendar month", "calendar quarter"]
)
TIERS = st.sampled_from(
    ["", ", tiers: off", ", tiers: {fast: {severity: info}}", ", tiers: {own: {share: 50%, long: 4h}}"]
)
SLOS = st.builds(
    "{{objective: {}, window: {}, min_events: {}, sli: {}{}{}}}".format,
    st.sampled_from(["1", "45", "90", "99", "99.9", "99.999"]),
    WINDOWS,
    st.sampled_from([0, 1, 5, 100]),
    SLIS,
    TIERS,
    st.sampled_from(["", ", group_by: [route]"]),
)


@st.composite
def composed(draw: st.DrawFn) -> bytes:
    """A spec of known parts in any combination."""
    slos = draw(st.lists(SLOS, max_size=3))
    alerts = draw(st.lists(ALERTS, max_size=3))
    lines = [specs.HEAD, f"defaults: {{interval: {draw(INTERVALS)}, scrape: {draw(SCRAPES)}}}"]
    lines += ["slos:", *(f"  s{number}: {slo}" for number, slo in enumerate(slos))] if slos else []
    lines += ["alerts:", *(f"  A{number}: {alert}" for number, alert in enumerate(alerts))] if alerts else []
    return "\n".join(lines).encode()


def test_composed_specs(folder: Path) -> None:
    """Any combination is accepted and rendered, as at least a third are, or refused with its position."""
    accepted = []

    @examples(150)
    @given(data=composed())
    def each(data: bytes) -> None:
        accepted.append(check(data, folder))

    each()
    assert 45 < sum(accepted) < 150


@pytest.mark.parametrize("number", ["1e999", "-.inf"])
def test_no_value_of_a_spec_ends_in_a_traceback_by_being_infinite(number: str, folder: Path) -> None:
    """Each value of a spec with nearly all sections, in turn. JSON has no such numbers."""
    data = LAUNCH.decode()
    accepted = [
        check(f"{data[: one.start()]}{number}{data[one.end() :]}".encode(), folder) for one in _SCALAR.finditer(data)
    ]
    assert len(accepted) > 100
    assert accepted.count(False) > len(accepted) / 2


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=mutated())
def test_mutated_specs_at_length(data: bytes, folder: Path) -> None:
    """As `test_mutated_specs`, for long, with new mutations each time."""
    check(data, folder)
