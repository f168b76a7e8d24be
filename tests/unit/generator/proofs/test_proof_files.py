"""The files that come out: what is proven, what is said not to be, and that it is always the same bytes."""

from pathlib import Path

import yaml

from generator import pipeline
from generator.model.spec import Spec
from generator.proofs import file as proofs

SPEC = """\
apiVersion: freezeline/v1
service: checkout
owner: {team: payments}
defaults: {interval: 30s, scrape: 15s}
slos:
  errors: {objective: 99.9, sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}}
alerts:
  Slow:   {p95_of: latency_seconds, over: 5m, above: 500ms, for: 1m, severity: warning}
  Native: {p95_of: latency_seconds, native: true, over: 5m, above: 500ms, severity: warning}
  Strange: {when: 'a > b', severity: warning}
  Plain: {when: 'a > 3', severity: warning}
"""


def load(text: str) -> Spec:
    """The spec, without errors."""
    loaded = pipeline.load_set([("slos/checkout.yaml", text.encode())], "slos")
    assert loaded.problems.errors == []
    return loaded.output_set.specs[0]


def test_each_alert_is_proven_or_named_as_a_gap() -> None:
    """No alert is passed over in silence."""
    spec = load(SPEC)
    made = proofs.render(spec, "slos")
    shown = {check.subject.title for file in made.files for test in file.tests for check in test.checks}
    assert shown == {
        "Slow",
        "Native",
        "Plain",
        "SLOBudgetBurn errors fast",
        "SLOBudgetBurn errors medium",
        "SLOBudgetBurn errors slow",
        "SLOBudgetBurn errors trickle",
        "SLOBudgetConsumed errors 50",
        "SLOBudgetConsumed errors 100",
        "SLONoData errors",
    }
    assert {gap.subject.title for gap in made.gaps} == {"Strange"}


def test_gaps_are_warned_of_and_written_down() -> None:
    """`generate` warns at the alert's line, and the file says it as a comment."""
    made = proofs.render(load(SPEC), "slos")
    warnings = made.warnings()
    assert {problem.code for problem in warnings} == {"proof/missing"}
    assert [problem.position.line for problem in warnings] == [10]
    assert all(problem.warning for problem in warnings)
    texts = [file.text for file in made.files if file.tests]
    assert len(texts) >= 5
    assert all("# Not proven: Strange, all proofs: it compares two queries with each other." in text for text in texts)


def test_what_the_spec_intends_is_no_warning() -> None:
    """An alert without `for` fires at one bad evaluation because it was written so."""
    made = proofs.render(load(SPEC), "slos")
    assert [(gap.subject.title, gap.what) for gap in made.intended] == [("Plain", "one bad evaluation")]


def test_native_histograms_stand_in_files_of_their_own() -> None:
    """An older promtool cannot read their notation, and would refuse the whole file."""
    made = proofs.render(load(SPEC), "slos")
    native = [file for file in made.files if file.needs_newer == "native histograms"]
    assert [file.path for file in native] == ["rules/tests/checkout.alerts.test-native.yml"]
    assert {check.subject.title for test in native[0].tests for check in test.checks} == {"Native"}
    assert [file.path for file in made.files if "{{schema:" in file.text] == [native[0].path]


def test_every_slo_alert_has_all_its_proofs() -> None:
    """Fires at 1.1 × and at 100 %, resets, and is silent where it must be."""
    made = proofs.render(load(SPEC), "slos")
    tests = [test for file in made.files for test in file.tests]
    for tier in ("fast", "medium", "slow", "trickle"):
        title = f"SLOBudgetBurn errors {tier}"
        spans = {(span.what, span.level) for test in tests for span in test.spans if span.subject.title == title}
        facts = {fact.text for test in tests for fact in test.facts if fact.subject.title == title}
        assert spans == {("detected", "1.1 ×"), ("detected", "100 %"), ("reset", "100 %")}
        assert facts == {
            "at 0.9 × the threshold",
            "on one bad scrape",
            "one failure of three requests",
            "when idle",
            "when no error series exists",
        }


def test_the_same_spec_gives_the_same_bytes() -> None:
    """Nothing depends on the order of sets, or on the time of day."""
    assert proofs.render(load(SPEC), "slos") == proofs.render(load(SPEC), "slos")


def test_files_are_yaml_and_name_files_that_are_generated() -> None:
    """Each test file's rule files are among the outputs, seen from its own folder."""
    loaded = pipeline.load_set([("slos/checkout.yaml", SPEC.encode())], "slos")
    outputs = pipeline.render_set(loaded.output_set).outputs
    tested = [path for path in outputs if path.endswith(".test.yml")]
    assert len(tested) >= 5
    for path in tested:
        content = yaml.safe_load(outputs[path])
        for name in content["rule_files"]:
            place = (Path("/") / path).parent / name
            assert place.resolve().relative_to("/").as_posix() in outputs


def test_origins_lead_back_to_the_spec() -> None:
    """The line of each test begins with its name and belongs to a line of the spec."""
    tested = [file for file in proofs.render(load(SPEC), "slos").files if file.tests]
    assert len(tested) >= 5
    for file in tested:
        lines = file.text.split("\n")
        assert len(file.origins) == len(file.tests)
        for (number, position), test in zip(file.origins, file.tests, strict=True):
            assert lines[number - 1].startswith("  - name: ")
            assert test.name in lines[number - 1].replace("''", "'")
            assert (position.file, position.line > 5) == ("slos/checkout.yaml", True)
