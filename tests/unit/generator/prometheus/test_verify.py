"""`freezeline verify` measures with a real promtool, and reports failures."""

import json
from pathlib import Path

import pytest

from freezeline.cli import main
from tests.tools import Generation

SPEC = """\
apiVersion: freezeline/v1
service: queue
owner: {team: data}
defaults: {interval: 30s, scrape: 15s}
alerts:
  Long:  {when: 'sum(queue_length) > 50', for: 2m, severity: warning}
  Twice: {when: 'sum(queue_age_seconds) >= 10', consecutive: 2, severity: critical}
  Odd:   {when: 'a > b', severity: warning}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec file with three plain alerts, one of which cannot be proven."""
    path = tmp_path / "queue.yaml"
    path.write_text(SPEC)
    return path


def test_the_table(spec: Path, generation: Generation, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured times stand beside the promised times; unproven alerts are named."""
    assert main(["verify", str(spec), "--promtool", str(generation.promtool)]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "queue\n"
        "=====\n"
        "Long\n"
        "  fires when      sum(queue_length) > 50, for 2m\n"
        "  detected after  1.1 ×: 2m15s (≤ 2m45s); full breach: 2m15s (≤ 2m45s)\n"
        "  resets after    1.1 ×: 15s (≤ 1m15s); full breach: 15s (≤ 1m15s)\n"
        "  silent          on one bad evaluation, at 0.9 × the threshold\n"
        "Twice\n"
        "  fires when      sum(queue_age_seconds) >= 10, 2 times in a row\n"
        "  detected after  1.1 ×: 45s (≤ 1m15s); full breach: 45s (≤ 1m15s)\n"
        "  resets after    1.1 ×: 15s (≤ 1m15s); full breach: 15s (≤ 1m15s)\n"
        "  silent          on one bad evaluation, at 0.9 × the threshold\n"
        "Odd\n"
        "  fires when      a > b\n"
        "  not proven      all proofs: it compares two queries with each other\n"
    )
    assert err.startswith("3 alerts, 0 failed, 1 not proven in full, by promtool ")


def test_json(spec: Path, generation: Generation, capsys: pytest.CaptureFixture[str]) -> None:
    """The same results as data, in seconds."""
    assert main(["verify", str(spec), "--promtool", str(generation.promtool), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["alert"] for row in found["alerts"]] == ["Long", "Twice", "Odd"]
    assert found["alerts"][0]["detected_after"][0] == {"level": "1.1 ×", "seconds": 135.0, "promised_seconds": 165.0}


def test_a_promise_that_is_not_kept(tmp_path: Path, generation: Generation, capsys: pytest.CaptureFixture[str]) -> None:
    """A slow average sees no breach within a minute: exit 1, the alert, and what promtool expected."""
    path = tmp_path / "slow.yaml"
    condition = "when: 'sum(rate(sent_total[10m])) < 5', severity: critical, within: 1m"
    path.write_text(SPEC.partition("alerts:")[0] + f"alerts:\n  Sent: {{{condition}}}\n")
    assert main(["verify", str(path), "--promtool", str(generation.promtool)]) == 1
    out, err = capsys.readouterr()
    assert "FAILED Sent\n" in out
    assert "full breach: never (≤ 1m)" in out
    assert 'failed          expr: "count(ALERTS{alertname="Sent"' in out
    assert "1 failed" in err


def test_without_promtool(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and how to name a promtool."""
    assert main(["verify", str(spec), "--promtool", "/nonexistent/promtool"]) == 3
    assert "is not an executable file (from --promtool)" in capsys.readouterr().err


def test_a_broken_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The spec's problems, and exit code 1; no proof runs."""
    path = tmp_path / "queue.yaml"
    path.write_text(SPEC.replace("severity: warning", "severity: bad"))
    assert main(["verify", str(path)]) == 1
    assert "queue.yaml:6:" in capsys.readouterr().err


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No such spec, or no jobs: exit code 2."""
    assert main(["verify", str(tmp_path / "gone.yaml")]) == 2
    assert main(["verify", "--jobs", "0"]) == 2
    assert "--jobs" in capsys.readouterr().err
