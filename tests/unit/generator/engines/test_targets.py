"""`generate --target`: what is written for engines other than Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from freezeline.cli import main
from generator import names, pipeline
from generator.engines import chains, metricsql
from generator.engines.mimir import MAX_RULES
from generator.engines.targets import TARGETS
from generator.render.rules.rule_file import Group, Rule, RuleFile
from generator.units import parse_duration_ms
from tests.unit.generator import specs

SPEC = specs.slo(f"objective: 99.9\n{specs.BAD_TOTAL}") + (
    "alerts:\n"
    "  ThreeTimes: {ratio: {bad: 'http_requests_total{code=~\"5..\"}', total: http_requests_total}, over: 5m,"
    " above: 1%, consecutive: 3, severity: critical}\n"
)
LINKED = (
    specs.slo(f"objective: 99.9\nrunbook: https://runbooks.example.org\n{specs.BAD_TOTAL}")
    + f"  other:\n    objective: 99\n    {specs.BAD_TOTAL}\n"
)
MANY = "slos:\n" + "".join(f"  slo-{number}: {{objective: 99.9, {specs.BAD_TOTAL}}}\n" for number in range(12))


def files_of(body: str, target: str) -> list[RuleFile]:
    """The rule files of one spec for an engine."""
    return list(pipeline.rule_files(specs.loaded(body).output_set, target))


def groups_of(body: str, target: str) -> list[Group]:
    """The groups of all rule files."""
    return [group for file in files_of(body, target) for group in file.groups]


def earlier(rules: Sequence[Rule]) -> chains.Earlier:
    """The rules of a group before one of them."""
    found = chains.Earlier()
    for rule in rules:
        found.add(rule)
    return found


def rules_of(groups: list[Group]) -> list[tuple[str, dict[str, str]]]:
    """Name and labels of each rule."""
    return [(rule.name, dict(rule.labels)) for group in groups for rule in group.rules]


def test_the_command_line_knows_every_engine() -> None:
    """`names.ENGINES` are the choices of --target, and `TARGETS` says what each of them needs."""
    assert tuple(TARGETS) == names.ENGINES


@pytest.mark.parametrize("target", names.ENGINES)
@pytest.mark.parametrize("body", [SPEC, MANY])
def test_every_engine_gets_the_same_rules(target: str, body: str) -> None:
    """Whatever an engine needs otherwise: names, labels and order of the rules are those for Prometheus."""
    assert rules_of(groups_of(body, target)) == rules_of(groups_of(body, names.PROMETHEUS))


def test_thanos_never_takes_a_partial_answer() -> None:
    """A store that does not answer fails the evaluation; the missing errors would look like none."""
    assert {group.options["partial_response_strategy"] for group in groups_of(SPEC, "thanos")} == {"abort"}


def test_groups_for_mimir_are_small_enough() -> None:
    """No group has more rules than Mimir takes, unless its rules read each other."""
    large = [group for group in groups_of(MANY, names.PROMETHEUS) if len(group.rules) > MAX_RULES]
    assert large != []
    for group in groups_of(MANY, "mimir"):
        assert len(group.rules) <= MAX_RULES or len(chains.families(group.rules)) == 1, group.name


def test_group_names_are_unique_for_every_engine() -> None:
    """A part or stage that took the name of another group would replace the group."""
    for target in names.ENGINES:
        for file in files_of(MANY, target):
            found = [group.name for group in file.groups]
            assert len(set(found)) == len(found), target


# -- VictoriaMetrics


def test_no_rule_of_a_group_reads_what_the_group_records_at_the_same_instant() -> None:
    """Vmalert hands results over later: such a rule would read the results of the evaluation before."""
    found = 0
    for group in groups_of(SPEC, "victoriametrics"):
        for at, rule in enumerate(group.rules):
            found += 1
            for read in chains.reads(rule.expr):
                written_out = rule.expr[: read.start].endswith(" or last_over_time(")
                assert written_out or earlier(group.rules[:at]).producers(read) == [], (group.name, rule.name)
    assert found > 20


def test_chains_are_there_to_be_broken() -> None:
    """The rules for Prometheus do read each other, or the test above could not fail."""
    group = next(
        group for group in groups_of(SPEC, names.PROMETHEUS) if group.name.endswith("-slow") and len(group.rules) > 5
    )
    read = [
        read
        for at, rule in enumerate(group.rules)
        for read in chains.reads(rule.expr)
        if earlier(group.rules[:at]).producers(read)
    ]
    assert len(read) > 5


def test_a_stage_begins_after_the_stage_that_it_reads() -> None:
    """Each group has an instant of its own inside its interval, and later stages have later instants."""
    for group in groups_of(MANY, "victoriametrics"):
        offset_ms = parse_duration_ms(str(group.options["eval_offset"])) if group.options["eval_offset"] != "0s" else 0
        assert 0 <= offset_ms < group.interval_ms
    offsets = {group.name: str(group.options["eval_offset"]) for group in groups_of(SPEC, "victoriametrics")}
    assert offsets["checkout-alerts-1m"] == "0s"
    assert offsets["checkout-alerts-1m-stage-2"] == "10s"


def test_counted_breaches_fit_into_their_range() -> None:
    """N breaches in a row are counted in N and a half intervals, so a stage comes at most half an interval later."""
    for seconds in (2, 5, 15, 30, 60):
        group = Group(
            name="g",
            interval_ms=seconds * 1000,
            rules=(
                Rule(record="freezeline:x", expr="vector(1)"),
                Rule(alert="A", expr="min_over_time(freezeline:x{}[1m])"),
            ),
        )
        file = metricsql.adapt(RuleFile(path="rules/g.rules.yml", header="", groups=(group,)), 1000)
        second = str(file.groups[1].options["eval_offset"])
        assert parse_duration_ms(second) <= max(1000, seconds * 500)


@pytest.mark.parametrize(
    "expr, written",
    [
        ("sum(rate(x[5m15s]))", "sum((rate_prometheus(x[5m15s]) * 315 / 300))"),
        ('rate(x{a="rate("}[5m15s] offset 15s)', '(rate_prometheus(x{a="rate("}[5m15s] offset 15s) * 315 / 300)'),
        ("increase(x[1d:5m] offset 2m)", "increase_prometheus(x[1d:5m] offset 2m)"),
        ("sum_over_time(rate5m[1h])", "sum_over_time(rate5m[1h])"),
    ],
)
def test_counters_count_as_in_prometheus(expr: str, written: str) -> None:
    """The factor is what N scrapes are to the range that holds N + 1 samples."""
    assert metricsql.exact(expr, 15_000) == written


def test_users_own_alerts_keep_the_functions_of_metricsql() -> None:
    """Only recording rules of SLOs are exact to the event; a plain alert is the user's own query."""
    alerts = [rule.expr for group in groups_of(SPEC, "victoriametrics") for rule in group.rules if rule.alert]
    assert [expr for expr in alerts if "rate_prometheus" in expr] == []


def test_native_histograms_are_refused() -> None:
    """VictoriaMetrics has none; the problem names the place in the spec."""
    body = specs.slo("objective: 95\nsli: {histogram: request_seconds, below: 0.5, native: true}")
    rendered = pipeline.render_set(specs.loaded(body).output_set, ["rules"], target="victoriametrics")
    assert {(fault.code, fault.position.file) for fault in rendered.faults} == {
        ("target/native-histogram", "checkout.yaml")
    }
    assert pipeline.render_set(specs.loaded(body).output_set, ["rules"], target="thanos").faults.errors == []


def test_links_without_graph_link() -> None:
    """Templates of vmalert lack `graphLink`; an SLO without a dashboard links to VictoriaMetrics' own page."""
    for target, there in (("prometheus", True), ("victoriametrics", False)):
        texts = [
            text for group in groups_of(LINKED, target) for rule in group.rules for text in rule.annotations.values()
        ]
        assert any("graphLink" in text for text in texts) == there
        assert any("/vmui/" in text for text in texts) != there


# -- files


def generate(folder: Path, *options: str) -> dict[str, Any]:
    """The generated YAML files by their path."""
    spec = folder / "checkout.yaml"
    spec.write_text(specs.HEAD + SPEC)
    out = folder / "-".join(("out", *options)).replace("/", "")
    assert main(["generate", str(spec), "-o", str(out), "--scope", "slos", *options]) == 0
    assert main(["generate", str(spec), "-o", str(out), "--scope", "slos", *options, "--check"]) == 0
    return {path.relative_to(out).as_posix(): yaml.safe_load(path.read_text()) for path in sorted(out.rglob("*.y*ml"))}


@pytest.mark.parametrize(
    "target, kind", [("prometheus", "PrometheusRule"), ("thanos", "ConfigMap"), ("victoriametrics", "VMRule")]
)
def test_the_object_of_each_operator(target: str, kind: str, tmp_path: Path) -> None:
    """Rules lie in rules/operator/, with the groups of the plain file."""
    files = generate(tmp_path, "--target", target)
    objects = generate(tmp_path, "--target", target, "--format", "operator")
    found = objects["rules/operator/checkout.yaml"]
    assert found["kind"] == kind
    inner = yaml.safe_load(found["data"]["checkout.rules.yml"]) if kind == "ConfigMap" else found["spec"]
    assert inner == files["rules/checkout.rules.yml"]


@pytest.mark.parametrize("target", ["cortex", "mimir"])
def test_uploads_name_a_namespace_of_their_own(target: str, tmp_path: Path) -> None:
    """Cortextool and mimirtool refuse two files of one namespace."""
    files = {
        path: found
        for path, found in generate(tmp_path, "--target", target, "--format", "upload").items()
        if "/upload/" in path
    }
    spaces = [found["namespace"] for found in files.values()]
    assert "freezeline.slos.checkout" in spaces
    assert len(set(spaces)) == len(spaces) == 3


def test_uploads_are_for_engines_with_a_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prometheus reads files; the message names the engines that take uploads."""
    spec = tmp_path / "checkout.yaml"
    spec.write_text(specs.HEAD + SPEC)
    assert main(["generate", str(spec), "-o", str(tmp_path), "--format", "upload"]) == 2
    assert "cortex, mimir" in capsys.readouterr().err


def test_proofs_read_the_rules_as_prometheus_needs_them(tmp_path: Path) -> None:
    """Promtool cannot read MetricsQL: plain copies lie beside the proofs."""
    plain = generate(tmp_path)
    files = generate(tmp_path, "--target", "victoriametrics")
    assert files["rules/tests/plain/checkout.rules.yml"] == plain["rules/checkout.rules.yml"]
    assert files["rules/tests/checkout.test.yml"]["rule_files"][0] == "plain/checkout.rules.yml"


def test_policies_name_the_rules_that_the_engine_evaluates(tmp_path: Path) -> None:
    """The gate's check `rules-loaded` compares with the engine's own rules."""
    body = SPEC + "gate: {checks: [{id: rules-loaded}]}\n"
    output_set = specs.loaded(body).output_set
    policy = pipeline.render_set(output_set, ["policy"], target="victoriametrics").outputs
    (text,) = [content.decode() for path, content in policy.items() if path.startswith("rules/policy/")]
    assert "rate_prometheus" in text
