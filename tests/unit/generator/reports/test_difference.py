"""Which edits change the meaning of a spec, and which do not."""

import json
import subprocess
from pathlib import Path

import pytest

from freezeline.cli import main
from generator.pipeline import load_set
from generator.reports import difference, spec_facts
from generator.reports.difference import Change
from tests.unit.generator import specs

SLO = specs.BAD_TOTAL
BODY = f"""slos:
  availability: {{objective: 99.9, {SLO}}}
alerts:
  ErrorsHigh: {{when: 'error_rate > 1', for: 1m, severity: warning}}
  Queue: {{increase_of: jobs_total, over: 5m, above: 3, severity: warning}}
policy:
  - {{on: {{alert: ErrorsHigh}}, do: [freeze, tell]}}
actions:
  freeze: {{flag: /var/lib/freezeline/checkout/FREEZE.FLAG}}
  tell: {{channels: [log]}}
routing:
  teams:
    payments: {{slack: "#payments"}}
  routes:
    - {{match: {{severity: critical, slo: availability}}, to: [{{team: payments, by: [slack]}}]}}
"""


def changes(old: str, new: str, body: str = BODY) -> list[Change]:
    """The changes after replacing one text of the spec."""
    assert old in specs.HEAD + body
    head, changed = specs.HEAD.replace(old, new), body.replace(old, new)
    before, after = specs.loaded(body), specs.loaded(changed, head)
    assert before.problems.errors == after.problems.errors == []
    return difference.compare(before.output_set, after.output_set)


def whats(old: str, new: str) -> set[tuple[str, str]]:
    """(subject, what) of each change."""
    return {(change.subject, change.what.partition(" of ")[0]) for change in changes(old, new)}


@pytest.mark.parametrize(
    "old, new",
    [
        ("for: 1m", "for: 60s"),
        ("do: [freeze, tell]", "do: [tell, freeze]"),
        ("error_rate > 1", "error_rate  >  1"),
        ("objective: 99.9", "objective: 99.90"),
        ("slos:\n", "# a comment\nslos:\n"),
        ("severity: critical, slo: availability", "slo: availability, severity: critical"),
        ("objective: 99.9,", "objective: 99.9, window: 30d, min_events: 5,"),
    ],
)
def test_same_meaning(old: str, new: str) -> None:
    """Comments, order, spelling and written-out defaults do not change the meaning."""
    assert changes(old, new) == []


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("for: 1m", "for: 2m", {("alert ErrorsHigh", "for")}),
        ("error_rate > 1", "error_rate > 2", {("alert ErrorsHigh", "condition")}),
        ("do: [freeze, tell]", "do: [freeze]", {("policy errors-high", "does")}),
        ("channels: [log]", "channels: [log, toast]", {("action tell", "channels")}),
        ("FREEZE.FLAG", "FROZEN.FLAG", {("action freeze", "flag")}),
        ("by: [slack]", "", {("routing", "routes.1.to.1.by")}),
        (
            "objective: 99.9,",
            "objective: 99.9, min_events: 9,",
            {("slo availability", "minimum"), ("slo availability", "recorded series")},
        ),
        ("objective: 99.9,", "objective: 99.9, description: Orders,", {("slo availability", "description")}),
    ],
)
def test_one_change(old: str, new: str, expected: set[tuple[str, str]]) -> None:
    """One edit gives exactly one change, under the name of its subject."""
    assert whats(old, new) == expected


def test_objective_changes_thresholds() -> None:
    """A change of the objective shows the budget, the number of allowed events, and the threshold of each tier."""
    found = {change.what: (change.old, change.new, change.effect) for change in changes("99.9", "99.5")}
    assert found["objective"] == (
        "99.9 %",
        "99.5 %",
        "budget 0.1 % → 0.5 %: 5 × as many bad events are allowed",
    )
    assert found["tier fast fires above"][:2] == ("1.44 % errors", "7.2 % errors")
    assert "tier fast" not in found
    assert "recorded series" not in found


@pytest.mark.parametrize(
    "old, new, label",
    [
        ("severity: warning}\n  Queue", "severity: critical}\n  Queue", "severity"),
        ("over: 5m, above", "over: 5m, by: [queue], above", "queue"),
        ("team: payments, slack", "team: edge, slack", "team"),
        ("objective: 99.9,", "objective: 99.9, group_by: [route],", "route"),
    ],
)
def test_labels_change_fingerprints(old: str, new: str, label: str) -> None:
    """Alertmanager identifies an alert by severity, labels of the data, team and groups."""
    found = [change for change in changes(old, new) if change.fingerprint]
    assert [change.what.split()[1] for change in found] == [label]


def test_window_begins_history_anew() -> None:
    """Another window has series of its own, which begin without a past."""
    found = [change for change in changes("objective: 99.9,", "objective: 99.9, window: 7d,") if change.history]
    assert [(change.subject, change.what) for change in found] == [("slo availability", "recorded series")]
    assert "freezeline backfill" in found[0].effect


def test_another_sli_on_the_same_series_is_mixed() -> None:
    """The past keeps the old meaning until the window has passed."""
    (change,) = changes("total: http_requests_total}", "total: 'http_requests_total{job=\"a\"}'}")
    assert (change.what, change.effect) == ("sli", difference.MIXED)


def test_added_and_removed() -> None:
    """A whole SLO or alert is one change."""
    body = BODY.replace("  Queue:", "  More: {when: 'x > 1', severity: info}\n  Queue:")
    before, after = specs.loaded(BODY), specs.loaded(body)
    for old, new, mark in ((before, after, "new"), (after, before, "old")):
        (change,) = difference.compare(old.output_set, new.output_set)
        assert (change.subject, change.what) == ("alert More", "the whole subject")
        assert getattr(change, mark)


def test_committed_specs_equal_themselves() -> None:
    """No fact depends on the position in the file, or on the time."""
    committed = specs.committed()
    assert len(committed) >= 5
    for name, data in committed:
        one, other = (load_set([(name, text)], "slos") for text in (data, b"# moved\n\n" + data))
        assert difference.compare(one.output_set, other.output_set) == []
        facts = spec_facts.of(one.output_set.specs[0], "slos")
        assert len(facts) > 10, name
        assert [text for text in facts.values() if "object at" in text] == []


def test_against_a_git_revision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files are compared with those of a commit; an unknown revision is an error."""

    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, timeout=30)

    folder = tmp_path / "slos"
    folder.mkdir()
    (folder / "checkout.yaml").write_text(specs.HEAD + BODY)
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert main(["diff", "--git", "HEAD", str(folder)]) == 0
    (folder / "checkout.yaml").write_text(specs.HEAD + BODY.replace("for: 1m", "for: 3m"))
    capsys.readouterr()
    for path in (folder, folder / "checkout.yaml"):
        assert main(["diff", "--git", "HEAD", str(path), "--json"]) == 1
        found = json.loads(capsys.readouterr().out)
        assert [(change["old"], change["new"]) for change in found["changes"]] == [("1m", "3m")]
    assert main(["diff", "--git", "nope", str(folder)]) == 3
    assert main(["diff", "--git=--output=x", str(folder)]) == 3


@pytest.mark.parametrize("words", [["one.yaml"], ["a", "b", "c"], ["--git", "HEAD", "a", "b"], ["a.yaml", "b.yaml"]])
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Too few paths, too many paths, or missing files."""
    assert main(["diff", *words]) == 2
    assert "freezeline diff: " in capsys.readouterr().err
