"""Four services for the pages: real receiver, stand-in Prometheus, and a rollout as an engine stores one."""

import copy
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from release.ab.counting import Counter
from release.ab.kept import Kept, encode
from release.ab.stage import look, start
from release.canary.state import Checked, Deployed, Phase, Shifted, State, Tick
from release.canary.verdict import Measured, Verdict
from release.store.database import Database
from tests.acceptance.page.site import deliver, end_rollbacks
from tests.acceptance.receiver.harness import Receiver, Site, receiver
from tests.fakes.prometheus import Objective, PrometheusFake, prometheus
from tests.tools import ROOT
from tests.unit.release.ab.test_report import TEST
from tests.waiting import until

SENTENCE = "5.64 % of HTTP requests failed over 5 min; the limit is 0.5 %"
NOW_SENTENCE = "6.1 % of HTTP requests failed over 5 min; the limit is 0.5 %"
POLICY = (ROOT / "rules" / "policy" / "canary-medium.policy.json").read_text("utf-8")
CALM = (
    Objective(service="gateway", slo="failures", left=0.81, ratio=0.0006),
    Objective(service="checkout", slo="payments", left=0.64, ratio=0.0011),
    Objective(service="checkout", slo="latency", left=0.93, ratio=0.0002),
    Objective(service="search", slo="answers", left=0.38, ratio=0.0047),
    Objective(service="shop", slo="orders", left=0.72, ratio=0.0008),
)
BAD = (
    Objective(service="gateway", slo="failures", left=-0.12, ratio=0.061),
    Objective(service="checkout", slo="payments", left=0.64, ratio=0.0011),
    Objective(service="checkout", slo="latency", left=0.93, ratio=0.0002),
    Objective(service="search", slo="answers", left=0.18, ratio=0.0147),
    Objective(service="shop", slo="orders", left=0.72, ratio=0.0008),
)


class World(Struct, kw_only=True):
    """The running receiver and its Prometheus."""

    receiver: Receiver
    prometheus: PrometheusFake


@asynccontextmanager
async def world(root: Path, *, past: bool = True) -> AsyncIterator[World]:
    """Run everything. With a `past`, one incident of checkout is over; nothing else has happened yet."""
    fake = PrometheusFake(objectives=list(CALM))
    slack = root / "slack-url"
    slack.write_text("ftp://nowhere.example.org/")
    channels: dict[str, Any] = {"log": {"type": "log"}, "slack": {"type": "slack", "url_file": str(slack)}}
    async with prometheus(fake):
        site = Site(root=root, settings={"channels": channels, "prometheus": {"url": fake.url}})
        _policies(site)
        (root / "state" / "rehearsals.jsonl").write_text("".join(json.dumps(one) + "\n" for one in DRILLS))
        async with receiver(site) as running:
            try:
                if past:
                    await _past(running)
                yield World(receiver=running, prometheus=fake)
            finally:
                await end_rollbacks(running)


async def trouble(world: World) -> None:
    """Gateway is frozen and rolled back, search burns its budget, shop rolls a release out, a notice is lost."""
    fake, running = world.prometheus, world.receiver
    fake.objectives = list(BAD)
    fake.alerts = [
        _firing("gateway", "FailureRateHigh", NOW_SENTENCE),
        _firing("search", "SLOBudgetBurn", "search answers: error ratio 1.5 % over 6 h, 2.9× the sustainable rate"),
    ]
    links = {
        "runbook_url": "https://runbooks.example.org/gateway/FailureRateHigh",
        "dashboard_url": "https://grafana.example.org/d/gateway",
    }
    await deliver(running, "FailureRateHigh", service="gateway", annotations={"summary": SENTENCE, **links})
    await until((running.site.root / "flags" / "gateway" / "FREEZE.FLAG").exists, 20, "the flag of gateway")
    running_rollout(running.site.state)


def running_rollout(state: Path) -> None:
    """A rollout of shop that bakes at 10 %, with 14 minutes of looks."""
    database = Database(state / "canary" / "shop.db")
    at = time.time() - 900
    begun = State(rollout="r2", release="v2.4.1", stable="v2.4.0")
    database.begin(begun, policy=POLICY, every_s=3600, at=at)
    settling = replace(begun, phase=Phase.SETTLE, weight=Decimal("0.1"), shifted_at=at + 30)
    database.save(Checked(reasons=()), replace(begun, phase=Phase.DEPLOY), (), at=at + 2)
    database.save(Deployed(why=""), replace(begun, phase=Phase.SHIFT), (), at=at + 28)
    database.save(Shifted(at=at + 30), settling, (), at=at + 30)
    for number in range(56):
        baking = replace(settling, phase=Phase.BAKE, baked_s=15.0 * number)
        _look(database, baking, at + 60 + 15 * number, number)
    database.close()


def ended_rollout(state: Path) -> None:
    """Yesterday's rollout of shop: three stages, an A/B test in the second, and its end."""
    database = Database(state / "canary" / "shop.db")
    at = time.time() - 86400
    begun = State(rollout="r1", release="v2.4.0", stable="v2.3.9")
    database.begin(begun, policy=POLICY, every_s=15, at=at)
    for stage, weight in enumerate(("0.1", "0.5", "1")):
        since = at + 600 * stage
        settling = replace(begun, phase=Phase.SETTLE, weight=Decimal(weight), stage=stage, shifted_at=since)
        database.save(Shifted(at=since), settling, (), at=since)
        for number in range(36):
            _look(database, replace(settling, phase=Phase.BAKE), since + 15 + 15 * number, number)
    done = replace(settling, phase=Phase.DONE)
    database.save(Tick(at=at + 1800, weight=Decimal(1), measured=()), done, (), at=at + 1800)
    database.keep_ab("r1", 1, encode(_tested(at + 600)))
    database.close()


def _tested(at: float) -> Kept:
    """An A/B test that found no difference, after a look on each of five days."""
    progress = start(at, None)
    for day, bad in enumerate((214, 405, 611, 803, 1012), 1):
        events = {
            "canary/bad": bad,
            "canary/total": 20_000 * day,
            "stable/bad": 204 * day,
            "stable/total": 20_000 * day,
        }
        counters = {f"errors/{name}": Counter(events=Decimal(count)) for name, count in events.items()}
        counts = replace(progress.counts, counters=counters, until_s=at + 86400 * day)
        progress = replace(progress, counts=counts)
        found = look(TEST, Decimal("0.5"), progress, at_s=at + 86400 * day, at_the_end=day == 5)
        progress = found.progress
    return Kept(progress=progress, outcome="not_worse", judgement=found.judgement)


def _look(database: Database, state: State, at: float, number: int) -> None:
    """One look at three gates, whose values go up and down a little. One look sees too many errors."""
    bad = 14 if number == 20 else (number * 7) % 5
    errors = _measured("errors", Decimal(bad) / 900, Decimal("0.005"), "ratio", breach=bad > 12)
    p95 = _measured("p95", Decimal(61 + (number * 5) % 9) / 100, Decimal("0.8"), "seconds", breach=False)
    up = _measured("availability", Decimal(1), Decimal("0.995"), "ratio", breach=False)
    database.save(Tick(at=at, weight=Decimal("0.102"), measured=(up, p95, errors)), state, (), at=at)


def _measured(gate: str, value: Decimal, bound: Decimal, unit: str, *, breach: bool) -> Measured:
    verdict, why = (Verdict.BREACH, "more than chance allows") if breach else (Verdict.PASS, "")
    return Measured(gate=gate, verdict=verdict, value=value, bound=bound, samples=900, why=why, unit=unit)


def _drill(kind: str, ended_at: str, *, ok: bool) -> dict[str, Any]:
    return {"kind": kind, "started_at": "2026-11-26T02:00:00Z", "ended_at": ended_at, "ok": ok, "runs": 20}


DRILLS = (
    _drill("recovery", "2026-11-26T02:07:00Z", ok=False),
    _drill("rollback", "2026-11-26T02:03:20Z", ok=True),
)


def _policies(site: Site) -> None:
    """One policy for each service; each has its own flag."""
    site.policy["actions"]["tell"] |= {"channels": ["log", "slack"], "fallback": ["log"]}
    site.policy["actions"].pop("fallback")
    site.policy["rules"][0]["do"].remove("fallback")
    site.policy["escalation"] = [{"after_s": 0, "channels": ["log"], "to": "payments"}]
    for service in ("gateway", "checkout", "search", "shop"):
        made = copy.deepcopy(site.policy) | {"name": f"{service}-slo", "service": service}
        made["rules"][0]["match"] = [{"label": "service", "op": "=", "value": service}]
        made["actions"]["freeze"] = {"type": "freeze", "flag": str(site.root / "flags" / service / "FREEZE.FLAG")}
        (site.root / "flags" / service).mkdir(parents=True)
        (site.root / "policy" / f"{service}.policy.json").write_text(json.dumps(made))
    site.settings["public_url"] = "http://127.0.0.1:9099"
    (site.root / "receiver.yaml").write_text(json.dumps(site.settings))


async def _past(running: Receiver) -> None:
    """An incident of checkout that is over, acknowledged by Ben, and a rollout that has ended."""
    ended_rollout(running.site.state)
    said = {"summary": "2.1 % of payments failed over 5 min; the limit is 1 %"}
    flag = running.site.root / "flags" / "checkout" / "FREEZE.FLAG"
    await deliver(running, "PaymentsFail", service="checkout", annotations=said)
    await until(flag.exists, 20, "the flag of checkout")
    assert await running.operate("ack", service="checkout", by="Ben") == 202
    await deliver(running, "PaymentsFail", service="checkout", annotations=said, resolved=True)
    await until(lambda: not flag.exists(), 20, "the end of the flag of checkout")


def _firing(service: str, alert: str, sentence: str) -> dict[str, Any]:
    labels = {"alertname": alert, "service": service, "severity": "critical"}
    return {
        "labels": labels,
        "annotations": {"summary": sentence},
        "state": "firing",
        "activeAt": "2026-01-02T03:04:05Z",
        "value": "1",
    }
