"""Every check of the gate says GO, NO_GO and CANNOT_TELL, each alone and all together; any NO_GO wins.

One table holds a case of each verdict for each check. The table is compared with the code's list of checks.
"""

import copy
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
from aiohttp import web
from msgspec import Struct, field

from receiver.policy.model import Matcher
from receiver.sources.prometheus import Prometheus
from release.gate.answer import EXIT_CODES, Report, Verdict
from release.gate.ask import CHECKS
from release.gate.run import run
from release.policy.gate import (
    Budget,
    Check,
    FlagIs,
    Flags,
    Gate,
    ImagePinned,
    NoneFiring,
    NotFrozen,
    Query,
    Rehearsed,
    Rule,
    RulesLoaded,
    ScanClean,
    Secrets,
)
from tests.tools import ROOT
from tests.unit.release.gate.worlds import HOST, IMAGE, NOW, SPEC, ago, world, write

GO, NO_GO, CANNOT_TELL = Verdict.GO, Verdict.NO_GO, Verdict.CANNOT_TELL
DATA = ROOT / "tests" / "data" / "gate"
TRIVY: dict[str, Any] = json.loads((DATA / "trivy.json").read_bytes())
GITLEAKS: list[dict[str, Any]] = json.loads((DATA / "gitleaks.json").read_bytes())
REHEARSAL = {"kind": "fallback", "service": "gateway", "spec": SPEC, "host": HOST, "ended_at": ago(2), "ok": True}
LOADED = {"name": "slo:total", "query": "sum(rate(requests_total[5m]))", "health": "ok", "type": "recording"}


class Evidence(Struct, kw_only=True):
    """What a case leaves for the checks: files, the environment, and Prometheus' answers by query or path."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)

    def trivy(self, **changes: Any) -> None:
        """A fresh report of Trivy with other top-level members."""
        report = copy.deepcopy(TRIVY) | {"CreatedAt": ago(1)} | changes
        write(self.directory, "trivy.json", report)

    def gitleaks(self, findings: Any, *, age_s: float = 60) -> None:
        """A report of Gitleaks of this age."""
        write(self.directory, "gitleaks.json", findings)
        os.utime(self.directory / "gitleaks.json", (NOW.timestamp() - age_s,) * 2)

    def beat(self, age_s: float) -> None:
        """A heartbeat of this age."""
        at = (NOW - timedelta(seconds=age_s)).isoformat()
        write(self.directory, "FREEZE.HEARTBEAT", {"at": at, "policies": {"failure-budget": "sha256:00"}})

    def rehearsal(self, **changes: Any) -> None:
        """A history of one rehearsal."""
        (self.directory / "rehearsals.jsonl").write_text(json.dumps(REHEARSAL | changes) + "\n")

    def flag(self, variant: str, **changes: Any) -> None:
        """A file of flagd with one flag."""
        made = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": variant} | changes
        write(self.directory, "flags.json", {"flags": {"fallback": made}})

    def frozen(self, *, beat_s: float | None = None) -> None:
        """A flag, and a heartbeat of this age."""
        (self.directory / "FREEZE.FLAG").touch()
        if beat_s is not None:
            self.beat(beat_s)


Make = Callable[[Evidence], Any]


class Cases(Struct, frozen=True, kw_only=True):
    """One check, and evidence for each verdict. The last way to CANNOT_TELL is used among other checks."""

    check: Check
    cases: Mapping[Verdict, tuple[Make, ...]]


def metadata(**changes: Any) -> dict[str, Any]:
    """Trivy's member `Metadata` with changes."""
    known: dict[str, Any] = copy.deepcopy(TRIVY["Metadata"])
    return known | changes


def samples(*values: str) -> dict[str, Any]:
    """Prometheus' answer to a query."""
    result = [{"metric": {"pod": str(number)}, "value": [1.0, value]} for number, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def rules(*loaded: Mapping[str, str]) -> dict[str, Any]:
    """Prometheus' answer about its rules."""
    return {"status": "success", "data": {"groups": [{"name": "g", "file": "f", "rules": list(loaded)}]}}


def alerts(*firing: Mapping[str, str]) -> dict[str, Any]:
    """Prometheus' answer about its alerts."""
    found = [{"labels": labels, "state": "firing", "activeAt": ago(1), "value": "1"} for labels in firing]
    return {"status": "success", "data": {"alerts": found}}


def answers(key: str, *answers: Any) -> tuple[Make, ...]:
    """A case for each answer of Prometheus; None: Prometheus answers 503."""
    return tuple(lambda evidence, answer=answer: evidence.answers.update({key: answer}) for answer in answers)


FINDING = {"VulnerabilityID": "CVE-1", "Severity": "CRITICAL"}
TABLE: Mapping[type, Cases] = {
    NotFrozen: Cases(
        check=NotFrozen(id="not-frozen"),
        cases={
            GO: (lambda evidence: evidence.beat(3),),
            NO_GO: (lambda evidence: evidence.frozen(beat_s=3), lambda evidence: evidence.frozen()),
            CANNOT_TELL: (
                lambda evidence: evidence.beat(-31),
                lambda evidence: evidence.beat(31),
                lambda _evidence: None,
            ),
        },
    ),
    RulesLoaded: Cases(
        check=RulesLoaded(id="rules-loaded", rules=(Rule(name="slo:total", query="sum(rate(requests_total[5m]))"),)),
        cases={
            GO: answers("/api/v1/rules", rules(LOADED)),
            NO_GO: answers(
                "/api/v1/rules", rules(), rules(LOADED | {"query": "vector(1)"}), rules(LOADED | {"health": "err"})
            ),
            CANNOT_TELL: answers("/api/v1/rules", {"status": "error"}, None),
        },
    ),
    NoneFiring: Cases(
        check=NoneFiring(id="no-critical", match=(Matcher(label="severity", op="=", value="critical"),)),
        cases={
            GO: answers("/api/v1/alerts", alerts(), alerts({"alertname": "Slow", "severity": "warning"})),
            NO_GO: answers("/api/v1/alerts", alerts({"alertname": "Down", "severity": "critical"})),
            CANNOT_TELL: answers("/api/v1/alerts", {"status": "success", "data": {}}, None),
        },
    ),
    Budget: Cases(
        check=Budget(id="budget", slo="errors", query="budget", op=">=", value=Decimal("0.1")),
        cases={
            GO: answers("budget", samples("0.1"), samples("0.5", "0.2")),
            NO_GO: answers("budget", samples("0.09"), samples("0.5", "-1")),
            CANNOT_TELL: answers("budget", samples(), samples("NaN"), samples("0.05", "NaN"), None),
        },
    ),
    Query: Cases(
        check=Query(id="fast", query="speed", op="<=", value=Decimal("0.5")),
        cases={
            GO: answers("speed", samples("0.5")),
            NO_GO: answers("speed", samples("0.51"), samples("0.1", "+Inf")),
            CANNOT_TELL: answers("speed", samples(), samples("NaN"), None),
        },
    ),
    ImagePinned: Cases(
        check=ImagePinned(id="pinned", image="${IMAGE}"),
        cases={
            GO: (lambda evidence: evidence.environment.update(IMAGE=IMAGE),),
            NO_GO: (lambda evidence: evidence.environment.update(IMAGE="app:latest"),),
            CANNOT_TELL: (lambda evidence: evidence.environment.update(IMAGE=""), lambda _evidence: None),
        },
    ),
    ScanClean: Cases(
        check=ScanClean(id="scan", trivy="trivy.json", at_most={"CRITICAL": 0, "HIGH": 1}, max_age_s=86400),
        cases={
            GO: (lambda evidence: evidence.trivy(),),
            NO_GO: (
                lambda evidence: evidence.trivy(Results=[{"Class": "os-pkgs", "Vulnerabilities": [FINDING]}]),
                lambda evidence: evidence.trivy(Results=[{"Class": "lang-pkgs", "Vulnerabilities": [FINDING]}]),
            ),
            CANNOT_TELL: (
                lambda evidence: evidence.trivy(SchemaVersion=1),
                lambda evidence: evidence.trivy(Metadata=metadata(OS={"Family": "debian", "Name": "9", "EOSL": True})),
                lambda evidence: evidence.trivy(CreatedAt=ago(25)),
                lambda evidence: evidence.trivy(CreatedAt=ago(-1)),
                lambda evidence: evidence.trivy(CreatedAt=None),
                lambda evidence: evidence.trivy(Results=[{"Class": "secret", "Secrets": []}]),
                lambda evidence: (evidence.directory / "trivy.json").write_bytes(b"{"),
                lambda _evidence: None,
            ),
        },
    ),
    Secrets: Cases(
        check=Secrets(id="secrets", report="gitleaks.json", at_most=0, max_age_s=86400),
        cases={
            GO: (lambda evidence: evidence.gitleaks([]),),
            NO_GO: (lambda evidence: evidence.gitleaks(GITLEAKS),),
            CANNOT_TELL: (
                lambda evidence: evidence.gitleaks([], age_s=86401),
                lambda evidence: evidence.gitleaks([], age_s=-3600),
                lambda evidence: evidence.gitleaks({"version": "2.1.0", "runs": []}),  # SARIF is another format
                lambda evidence: evidence.gitleaks(None),
                lambda _evidence: None,
            ),
        },
    ),
    Flags: Cases(
        check=Flags(
            id="flags", flag_file="flags.json", present=("fallback",), values=(FlagIs(flag="fallback", value=True),)
        ),
        cases={
            GO: (lambda evidence: evidence.flag("on"),),
            NO_GO: (
                lambda evidence: evidence.flag("off"),
                lambda evidence: evidence.flag("on", state="DISABLED"),
                lambda evidence: write(evidence.directory, "flags.json", {"flags": {}}),
            ),
            CANNOT_TELL: (
                lambda evidence: evidence.flag("on", state="maybe"),
                lambda evidence: write(evidence.directory, "flags.json", []),
                lambda _evidence: None,
            ),
        },
    ),
    Rehearsed: Cases(
        check=Rehearsed(id="rehearsed", rehearsal="fallback", max_age_s=7 * 86400),
        cases={
            GO: (lambda evidence: evidence.rehearsal(),),
            NO_GO: (
                lambda evidence: evidence.rehearsal(ok=False),
                lambda evidence: evidence.rehearsal(ended_at=ago(8 * 24)),
                lambda evidence: evidence.rehearsal(service="other"),
            ),
            CANNOT_TELL: (
                lambda evidence: evidence.rehearsal(ended_at=ago(-1)),
                lambda evidence: evidence.rehearsal(ended_at="yesterday"),
                lambda _evidence: None,
            ),
        },
    ),
}
EACH = [
    pytest.param(cases.check, verdict, make, id=f"{kind.__name__}-{verdict.value}-{number}")
    for kind, cases in TABLE.items()
    for verdict, makes in cases.cases.items()
    for number, make in enumerate(makes)
]


def test_the_table_is_complete() -> None:
    """Every check of the policy's format is asked, stands in the table, and has a case of every verdict."""
    assert set(TABLE) == set(CHECKS) == set(get_args(Check))
    assert all(type(cases.check) is kind for kind, cases in TABLE.items())
    assert [kind.__name__ for kind, cases in TABLE.items() if set(cases.cases) != set(Verdict)] == []
    assert all(makes for cases in TABLE.values() for makes in cases.cases.values())


@asynccontextmanager
async def prometheus(found: Mapping[str, Any]) -> AsyncIterator[Prometheus]:
    """A Prometheus that gives these answers, by query or by path, and 503 where there is none."""

    async def answer(request: web.Request) -> web.Response:
        form = await request.post()
        body = found.get(str(form.get("query", request.path)))
        return web.json_response(body, status=503 if body is None else 200)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Prometheus(http, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


async def asked(directory: Path, checks: tuple[Check, ...], makes: tuple[Make, ...]) -> Report:
    """The gate's report on this evidence."""
    evidence = Evidence(directory=directory)
    for make in makes:
        make(evidence)
    async with prometheus(evidence.answers) as server:
        return await run(Gate(checks=checks), world(directory, environment=evidence.environment, prometheus=server))


@pytest.mark.parametrize("check,verdict,make", EACH)
async def test_each_verdict_of_each_check(tmp_path: Path, check: Check, verdict: Verdict, make: Make) -> None:
    """The check alone, so that the gate's verdict and exit code are the check's; a reason is always given."""
    report = await asked(tmp_path, (check,), (make,))
    (finding,) = report.findings
    assert (finding.verdict, report.verdict) == (verdict, verdict), finding.reason
    assert finding.reason
    assert EXIT_CODES[report.verdict] == {GO: 0, NO_GO: 1, CANNOT_TELL: 2}[verdict]


@pytest.mark.parametrize("wrong", list(TABLE), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("others", [GO, CANNOT_TELL], ids=lambda verdict: verdict.value)
async def test_any_no_wins(tmp_path: Path, wrong: type, others: Verdict) -> None:
    """One NO among all other checks, whether those say GO or cannot tell."""
    makes = tuple(cases.cases[NO_GO if kind is wrong else others][-1] for kind, cases in TABLE.items())
    report = await asked(tmp_path, tuple(cases.check for cases in TABLE.values()), makes)
    said = {finding.id: finding.verdict for finding in report.findings}
    assert said == {cases.check.id: NO_GO if kind is wrong else others for kind, cases in TABLE.items()}
    assert report.verdict is NO_GO


@pytest.mark.parametrize("doubtful", list(TABLE), ids=lambda kind: kind.__name__)
async def test_any_doubt_stops_a_go(tmp_path: Path, doubtful: type) -> None:
    """One check that cannot tell among checks that say GO."""
    makes = tuple(cases.cases[CANNOT_TELL if kind is doubtful else GO][-1] for kind, cases in TABLE.items())
    report = await asked(tmp_path, tuple(cases.check for cases in TABLE.values()), makes)
    assert report.verdict is CANNOT_TELL
    assert [finding.id for finding in report.findings if finding.verdict is not GO] == [TABLE[doubtful].check.id]


@pytest.mark.parametrize(
    "bound,found,said",
    [
        (("<=", "0.5", "seconds"), "0.62", "the query's value is 620 ms (pod=0); the gate allows at most 500 ms"),
        ((">=", "0.995", "ratio"), "0.99", "the query's value is 99 % (pod=0); the gate allows at least 99.5 %"),
        (("<=", "3", ""), "4", "the query's value is 4 (pod=0); the gate allows at most 3"),
        (("<=", "0.5", "seconds"), "0.25", "the query's value is 250 ms (pod=0)"),
    ],
)
async def test_a_query_says_its_unit(tmp_path: Path, bound: tuple[Any, str, Any], found: str, said: str) -> None:
    """Value and bound are written as people write them."""
    op, value, unit = bound
    check = Query(id="fast", query="speed", op=op, value=Decimal(value), unit=unit)
    report = await asked(tmp_path, (check,), answers("speed", samples(found)))
    assert [finding.reason for finding in report.findings] == [said]
