"""`freezeline canary report`: every measurement with all that explains it, and the A/B test, in four forms."""

import json
import math
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from freezeline.cli import main
from release.ab.kept import Kept, decode, encode
from release.canary.state import Paused, Phase, State, Tick
from release.canary.verdict import Measured, Verdict
from release.store.database import Database
from tests.tools import ROOT
from tests.unit.release.ab.test_report import Seen, looked

HOSTILE = "<script>alert(1)</script>\x1b[31m"
POLICY = (ROOT / "rules" / "policy" / "canary-medium.policy.json").read_text("utf-8")


def measured(gate: str, verdict: Verdict, value: str | None, samples: int | None, why: str = "") -> Measured:
    """A measurement of a gate whose bound is 0.5 %."""
    number = None if value is None else Decimal(value)
    return Measured(
        gate=gate, verdict=verdict, value=number, bound=Decimal("0.005"), samples=samples, why=why, unit="ratio"
    )


@pytest.fixture(name="state")
def fixture_state(tmp_path: Path) -> Path:
    """A state directory with one rollout that was looked at twice."""
    database = Database(tmp_path / "canary" / "shop.db")
    state = State(rollout="r1", release="v2.1", stable="v1", phase=Phase.BAKE, weight=Decimal("0.1"))
    database.begin(state, policy=POLICY, every_s=15, at=0)
    database.save(Paused(by="ann"), state, [], at=1)
    first = (measured("errors", Verdict.BREACH, "0.0123456789", 812), measured("p95", Verdict.PASS, "0.25", 812))
    second = (measured("errors", Verdict.INCONCLUSIVE, None, None, HOSTILE),)
    for at, found in ((60.0, first), (75.0, second)):
        database.save(Tick(at=at, weight=Decimal("0.1"), measured=found), state, [], at=at)
    database.close()
    return tmp_path


def with_test(state: Path) -> None:
    """An A/B test of the second stage, with two looks."""
    found = looked()
    kept = Kept(progress=found.progress, outcome="undecided", text="", judgement=found.judgement)
    database = Database(state / "canary" / "shop.db")
    database.keep_ab("r1", 1, encode(kept))
    database.close()


def report(state: Path, *options: str) -> int:
    """Run the command."""
    return main(["canary", "report", "--state", str(state), *options])


def test_json_has_all_that_explains_a_verdict(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Query with the releases' names, value, samples, bound, window and verdict of each measurement, in order."""
    assert report(state, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    errors, p95, nothing = content["measurements"]
    assert {key: errors[key] for key in ("at", "stage", "gate", "value", "bound", "samples", "verdict")} == {
        "at": "1970-01-01 00:01:00Z",
        "stage": 1,
        "gate": "errors",
        "value": "0.0123456789",
        "bound": "0.005",
        "samples": 812,
        "verdict": "breach",
    }
    assert errors["window_s"] == 120
    assert errors["queries"]["total"] == 'sum(increase(shop_requests_total{job="shop",version="v2.1"}[2m]))'
    assert set(p95["queries"]) == {"observed", "buckets"}
    assert (nothing["value"], nothing["samples"], nothing["verdict"]) == (None, None, "inconclusive")
    assert content["ab"] == []


def test_text_has_one_line_for_each_measurement(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing from another server reaches the terminal as a control character."""
    assert report(state) == 0
    text = capsys.readouterr().out
    assert "  gate errors over 120 s\n    bad: sum(increase(" in text
    assert "1970-01-01 00:01:00Z  stage 1  errors: breach: 1.235 %, bound 0.5 %, samples 812\n" in text
    assert "errors: inconclusive: no data, bound 0.5 %, <script>" in text
    assert "Paused" in text
    assert "\x1b" not in text


def test_the_page_holds_the_measurements_and_the_test(state: Path, tmp_path: Path) -> None:
    """A page without scripts and without addresses, with two plots of the A/B test."""
    with_test(state)
    assert report(state, "--html", str(tmp_path / "report.html")) == 0
    page = Seen()
    page.feed((tmp_path / "report.html").read_text("utf-8"))
    assert page.tags.count("svg") == 1
    assert page.tags.count("html") == 1
    assert not {"script", "link", "iframe"} & set(page.tags)
    for expected in ("1.235 %", "812", "breach", "120 s", 'version="v2.1"', "A/B test of shop v2.1", HOSTILE[:25]):
        assert expected in page.text, expected


def test_text_and_json_hold_the_test(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last look at the stage's test."""
    with_test(state)
    assert report(state) == 0
    assert "stage 2\nA/B test of shop v2.1: Undecided" in capsys.readouterr().out
    assert report(state, "--json") == 0
    (test,) = json.loads(capsys.readouterr().out)["ab"]
    assert (test["stage"], test["outcome"], len(test["looks"])) == (2, "undecided", 2)
    assert test["metrics"][0]["canary"] == {"bad": 44, "total": 800}


FULL = (
    "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))"
)
"""No file may be longer: more than a report's database needs for reading, and less than the page."""

WITHOUT_EXTRA = """
import sys
sys.modules.update(scipy=None, matplotlib=None, numpy=None)
from release.ab import ready
ready.find_spec = lambda name: None
from freezeline.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_installation_without_the_extra_shows_the_test(state: Path, tmp_path: Path) -> None:
    """All figures, without scipy and matplotlib. Only the plots of the page are missing, and the page says so."""
    with_test(state)
    page = tmp_path / "report.html"
    argv = [sys.executable, "-c", WITHOUT_EXTRA, "canary", "report", "--state", str(state), "--html", str(page)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stage 2\nA/B test of shop v2.1: Undecided" in done.stdout
    seen = Seen()
    seen.feed(page.read_text("utf-8"))
    assert "svg" not in seen.tags
    assert "44 of 800" in seen.text
    assert "Plots need matplotlib: install Freezeline with the extra `ab`" in seen.text


def watched(state: Path, looks: int) -> None:
    """Many more looks at the rollout, so that the page is long."""
    database = Database(state / "canary" / "shop.db")
    (rollout,) = database.rollouts()
    for at in range(100, 100 + looks):
        tick = Tick(at=at, weight=Decimal("0.1"), measured=(measured("errors", Verdict.PASS, "0.001", 900),))
        database.save(tick, rollout.state, [], at=at)
    database.close()


def test_a_full_disk_leaves_the_old_page(state: Path, tmp_path: Path) -> None:
    """Exit code 3; the page before is whole, and nothing lies beside the page."""
    watched(state, 500)
    pages = tmp_path / "pages"
    pages.mkdir()
    page = pages / "report.html"
    page.write_text("the page before")
    argv = [sys.executable, "-c", f"{FULL}; from freezeline.cli import main; sys.exit(main(sys.argv[1:]))"]
    argv += ["canary", "report", "--state", str(state), "--html", str(page)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert "File too large" in done.stderr
    assert (page.read_text(), list(pages.iterdir())) == ("the page before", [page])


def test_markdown_counts_verdicts_and_keeps_names_harmless(state: Path, tmp_path: Path) -> None:
    """One row for each gate of a stage; names of others neither end a cell nor begin HTML."""
    with_test(state)
    target = tmp_path / "report.md"
    assert report(state, "--markdown", str(target)) == 0
    text = target.read_text("utf-8")
    assert text.startswith("## Rollout of shop v2.1\n")
    assert "| stage | gate | pass | breach | inconclusive | last value | bound | why |" in text
    assert "| 1 | p95 | 1 | 0 | 0 | 25 % | 0.5 % |  |" in text
    assert "| 1 | errors | 0 | 1 | 1 |  | 0.5 % | &lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "| 1970-01-01 00:00:01Z | Paused | bake | 1 |" in text
    assert "### A/B test of stage 2\n\nUndecided: the test goes on." in text
    assert "| errors | 44 of 800 (5.500%) | 40 of 800 (5.000%) |" in text
    assert not {"<", "\x1b"} & set(text)


def test_a_look_without_a_bound_is_read_back() -> None:
    """The bound of such a look is infinite, and so is the evidence of a sure difference."""
    found = looked()
    metric = replace(found.judgement.metrics[0], bound=math.inf, log_e=-math.inf)
    kept = Kept(progress=found.progress, judgement=replace(found.judgement, metrics=(metric,)))
    assert decode(encode(kept)) == kept
