"""Each check that reads files: GO, NO_GO and CANNOT_TELL, on evidence shaped as its tool writes it."""

import copy
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from release.policy.gate import Flags, ImagePinned, Rehearsed, ScanClean, Secrets
from tests.tools import ROOT
from tests.unit.release.gate.worlds import DIGEST, HOST, IMAGE, NOW, SPEC, ago, answer, world, write

DATA = ROOT / "tests" / "data" / "gate"
SCAN = ScanClean(
    id="scan", trivy="trivy.json", at_most={"CRITICAL": 0, "HIGH": 2}, max_age_s=86400, same_digest_as="pinned"
)
PINNED = ImagePinned(id="pinned", image="${IMAGE}")
REPORT: dict[str, Any] = json.loads((DATA / "trivy.json").read_bytes())
Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    "image,variable,expected",
    [
        ("${IMAGE}", IMAGE, "GO"),
        (IMAGE, "", "GO"),
        ("${IMAGE}", "app:latest", "NO_GO"),
        ("${IMAGE}", "app@sha256:0123", "NO_GO"),
        ("${IMAGE}", f"app@{DIGEST} --privileged", "NO_GO"),
        ("${IMAGE}", "", "CANNOT_TELL"),
    ],
)
def test_image_pinned(tmp_path: Path, image: str, variable: str, expected: str) -> None:
    """A digest of 64 digits; an image that the pipeline did not name cannot be judged."""
    found = answer(ImagePinned(id="pinned", image=image), world(tmp_path, environment={"IMAGE": variable}))
    assert found.verdict.value == expected


def scanned(tmp_path: Path, change: Change, environment: str = IMAGE) -> tuple[str, str]:
    """Verdict and reason of the scan check on a changed report."""
    report = copy.deepcopy(REPORT)
    report["CreatedAt"] = ago(1)
    change(report)
    write(tmp_path, "trivy.json", report)
    found = answer(SCAN, world(tmp_path, environment={"IMAGE": environment}, checks={"pinned": PINNED}))
    return found.verdict.value, found.reason


def vulnerabilities(*severities: str) -> Change:
    """A report with these findings in its first result."""
    made = [{"VulnerabilityID": f"CVE-{n}", "Severity": one} for n, one in enumerate(severities)]
    return lambda report: report["Results"][0].update(Vulnerabilities=made)


def test_a_report_of_trivy_as_it_comes(tmp_path: Path) -> None:
    """Two findings of HIGH are allowed, and no CRITICAL one is in it."""
    assert scanned(tmp_path, lambda _report: None) == ("GO", "the scan is clean")


@pytest.mark.parametrize(
    "change,reason",
    [
        (vulnerabilities("CRITICAL"), "the scan found 1 CRITICAL"),
        (vulnerabilities("HIGH", "HIGH", "HIGH", "LOW"), "the scan found 3 HIGH"),
    ],
)
def test_a_scan_with_findings(tmp_path: Path, change: Change, reason: str) -> None:
    """More than allowed of one severity is a NO."""
    assert scanned(tmp_path, change) == ("NO_GO", reason)


@pytest.mark.parametrize(
    "change,reason",
    [
        (lambda report: report.update(SchemaVersion=3), "no report of Trivy with SchemaVersion 2"),
        (lambda report: report["Metadata"]["OS"].update(EOSL=True), "alpine 3.20.3 gets no security updates any more"),
        (lambda report: report.pop("CreatedAt"), "does not say when"),
        (lambda report: report.update(CreatedAt=ago(25)), "25.0 h old, more than 24 h"),
        (lambda report: report.update(CreatedAt=ago(-1)), "from the future"),
        (lambda report: report.update(CreatedAt="yesterday"), "does not say when"),
        (lambda report: report.update(CreatedAt="2026-11-27T11:00:00"), "does not say when"),
        (lambda report: report["Metadata"].pop("RepoDigests"), "names no digest"),
        (lambda report: report["Metadata"].update(RepoDigests=[]), "names no digest"),
        (lambda report: report["Metadata"].update(RepoDigests=[f"app@sha256:{'f' * 64}"]), "about another image"),
        (lambda report: report.update(Results=[]), "scanned no packages"),
        (lambda report: report.pop("Results"), "scanned no packages"),
        (lambda report: report.update(Results=[{"Class": "secret"}]), "scanned no packages"),
    ],
)
def test_a_report_that_proves_nothing(tmp_path: Path, change: Change, reason: str) -> None:
    """Old, cut, of another image or of a system without updates: nobody can tell."""
    verdict, said = scanned(tmp_path, change)
    assert verdict == "CANNOT_TELL"
    assert reason in said


def test_a_scan_whose_image_has_no_digest(tmp_path: Path) -> None:
    """There is nothing to compare the report with."""
    verdict, said = scanned(tmp_path, lambda _report: None, environment="app:latest")
    assert (verdict, said) == ("CANNOT_TELL", "the check pinned names no digest to compare with")


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"SchemaVersion": "2"}'])
def test_a_file_that_is_no_report(tmp_path: Path, content: bytes) -> None:
    """Any bytes at all, or none."""
    (tmp_path / "trivy.json").write_bytes(content)
    surroundings = world(tmp_path, environment={"IMAGE": IMAGE}, checks={"pinned": PINNED})
    assert answer(SCAN, surroundings).verdict.value == "CANNOT_TELL"
    (tmp_path / "trivy.json").unlink()
    assert "cannot be read" in answer(SCAN, surroundings).reason


@pytest.mark.parametrize(
    "content,at_most,expected",
    [
        ([], 0, "GO"),
        ("gitleaks.json", 0, "NO_GO"),
        ("gitleaks.json", 1, "GO"),
        ({}, 0, "CANNOT_TELL"),
        ([{"other": 1}], 9, "CANNOT_TELL"),
        (None, 0, "CANNOT_TELL"),
    ],
)
def test_secrets(tmp_path: Path, content: Any, at_most: int, expected: str) -> None:
    """Gitleaks writes a list of findings; no file at all is no clean report."""
    if content == "gitleaks.json":
        content = json.loads((DATA / "gitleaks.json").read_bytes())
    if content is not None:
        write(tmp_path, "leaks.json", content)
        os.utime(tmp_path / "leaks.json", (NOW.timestamp(),) * 2)
    found = answer(Secrets(id="secrets", report="leaks.json", at_most=at_most), world(tmp_path))
    assert found.verdict.value == expected


def test_an_old_report_of_secrets(tmp_path: Path) -> None:
    """The file's time counts: the report itself does not say when it was made."""
    write(tmp_path, "leaks.json", [])
    check = Secrets(id="secrets", report="leaks.json", at_most=0, max_age_s=3600)
    for age_s, expected in ((60, "GO"), (7200, "CANNOT_TELL")):
        os.utime(tmp_path / "leaks.json", (NOW.timestamp() - age_s,) * 2)
        assert answer(check, world(tmp_path)).verdict.value == expected


@pytest.mark.parametrize(
    "content,expected",
    [
        ({"flags": {"fallback": {"state": "ENABLED"}, "worker": {}}}, "GO"),
        ({"fallback": True, "worker": False}, "GO"),
        ({"flags": {"worker": {}}}, "NO_GO"),
        ([], "CANNOT_TELL"),
        (None, "CANNOT_TELL"),
    ],
)
def test_flags(tmp_path: Path, content: Any, expected: str) -> None:
    """Flagd's file, or a plain object; a flag that is missing is a NO."""
    if content is not None:
        write(tmp_path, "flags.json", content)
    check = Flags(id="flags", flag_file="flags.json", present=("fallback", "worker"))
    assert answer(check, world(tmp_path)).verdict.value == expected


REHEARSED = Rehearsed(
    id="recovery", rehearsal="recovery", max_age_s=7 * 86400, rto_at_most_s=300, rpo_at_most_s=3600, integrity=True
)
GOOD = {
    "kind": "recovery",
    "service": "gateway",
    "spec": SPEC,
    "host": HOST,
    "started_at": ago(3),
    "ended_at": ago(2),
    "ok": True,
    "rto_s": 12.5,
    "rpo_s": 60,
    "integrity": True,
}


def rehearsed(tmp_path: Path, *lines: dict[str, Any], end: str = "") -> tuple[str, str]:
    """Verdict and reason on a history of these lines."""
    text = "".join(json.dumps(line) + "\n" for line in lines) + end
    (tmp_path / "rehearsals.jsonl").write_text(text, "utf-8")
    found = answer(REHEARSED, world(tmp_path))
    return found.verdict.value, found.reason


def test_a_rehearsal_that_is_good(tmp_path: Path) -> None:
    """The newest one counts, wherever it stands; other services and kinds do not count."""
    failed = {**GOOD, "ended_at": ago(30), "ok": False}
    other = {**GOOD, "service": "shop", "ok": False}
    elsewhere = {**GOOD, "host": "deploy-2", "ended_at": ago(1), "ok": False}
    assert rehearsed(tmp_path, GOOD, failed, other, elsewhere, {**GOOD, "kind": "loop", "ok": False})[0] == "GO"


@pytest.mark.parametrize(
    "change,reason",
    [
        ({"ok": False}, "failed"),
        ({"ended_at": ago(24 * 8)}, "8.0 d old"),
        ({"rto_s": 301}, "recovery took 301 s, more than 300 s"),
        ({"rpo_s": None}, "did not measure rpo_s"),
        ({"rpo_s": -1}, "did not measure rpo_s"),
        ({"integrity": False}, "did not prove the integrity"),
        ({"service": "shop"}, "no recovery rehearsal of gateway"),
        ({"spec": "failure-budget@sha256:000000"}, "of another spec (failure-budget@sha256:000000, not failure-budget"),
        ({"spec": ""}, "of another spec (none named, not failure-budget"),
        ({"host": "deploy-2"}, "of another machine (deploy-2, not deploy-1)"),
    ],
)
def test_a_rehearsal_that_is_not_good_enough(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    """Failed, old, too slow, without proof, or of another service."""
    verdict, said = rehearsed(tmp_path, {**GOOD, **change})
    assert verdict == "NO_GO"
    assert reason in said


STREAMS = Rehearsed(
    id="streams",
    rehearsal="stream",
    max_age_s=86400,
    first_event_at_most_s=0.5,
    connected_at_least=Decimal("0.95"),
)


@pytest.mark.parametrize(
    "measured,reason",
    [
        ({"first_event_s": 0.5, "connected": 0.95}, "rehearsed at"),
        ({"first_event_s": 0.51, "connected": 1.0}, "the first event of a stream took 0.51 s, more than 0.5 s"),
        ({"first_event_s": 0.1, "connected": 0.94}, "94.0% of the streams were answered, less than 95.0%"),
        ({"connected": 1.0}, "did not measure first_event_s"),
        ({"first_event_s": 0.1}, "did not measure connected"),
    ],
)
def test_a_rehearsal_of_streams(tmp_path: Path, measured: dict[str, float], reason: str) -> None:
    """Both the time to the first event and the share of answered streams count."""
    line = {**GOOD, "kind": "stream", "ended_at": ago(1), **measured}
    (tmp_path / "rehearsals.jsonl").write_text(json.dumps(line) + "\n")
    found = answer(STREAMS, world(tmp_path))
    assert found.verdict.value == ("GO" if reason == "rehearsed at" else "NO_GO")
    assert reason in found.reason


def test_a_history_that_cannot_be_read(tmp_path: Path) -> None:
    """A broken line hides what it said; a last line without its end was cut off by a crash, and does not count."""
    assert rehearsed(tmp_path, GOOD, {"kind": "recovery"})[0] == "CANNOT_TELL"
    assert rehearsed(tmp_path, {**GOOD, "rto_s": float("nan")})[0] == "CANNOT_TELL"
    assert rehearsed(tmp_path, {**GOOD, "ended_at": "2026-11-27T10:00:00"})[0] == "CANNOT_TELL"
    assert rehearsed(tmp_path, GOOD, end='{"kind": "recov')[0] == "GO"
    (tmp_path / "rehearsals.jsonl").unlink()
    assert answer(REHEARSED, world(tmp_path)).verdict.value == "CANNOT_TELL"
