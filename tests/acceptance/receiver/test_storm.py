"""A storm at a running receiver: a thousand alerts in one body, with few transactions, rows and flags; also killed."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from benchmarks.storm import LOG_MAX_BYTES
from receiver.steps import Step
from tests.acceptance.receiver.harness import Receiver, Site, receiver
from tests.acceptance.receiver.test_kill_points import final
from tests.acceptance.receiver.test_loop import DEADLINE_S, frozen
from tests.tools import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.usefixtures("sharing")]

ALERTS = 1000
STORM_S = 60.0
TRANSACTIONS_MAX = 200
"""For a thousand alerts: some for each piece of a hundred, and some for everything else."""


def storm(status: str, alerts: int = ALERTS) -> bytes:
    """One body with many alerts of one service."""
    sent = [
        {
            "status": status,
            "labels": {"alertname": "FailureRateHigh", "service": "gateway", "instance": f"i{number}"},
            "annotations": {"summary": f"instance i{number} fails"},
            "startsAt": "2026-11-21T08:17:42Z",
            "endsAt": "2026-11-21T08:18:11Z" if status == "resolved" else "0001-01-01T00:00:00Z",
            "fingerprint": f"{number:016x}",
        }
        for number in range(alerts)
    ]
    return json.dumps({"version": "4", "receiver": "freezeline", "alerts": sent}).encode()


def steps(site: Site) -> Counter[str]:
    """How often each step was passed so far."""
    return Counter((site.root / "armed.steps").read_text().split())


async def settled(site: Site, state: str, number: int) -> None:
    """Wait until so many episodes have a state, and every action is over."""
    counted = "SELECT count(*) FROM episode WHERE state = ?"
    await until(lambda: site.rows(counted, state) == [(number,)], STORM_S, f"{number} episodes are {state}")
    await until(lambda: final(site), DEADLINE_S, "everything is over")


async def test_a_storm_makes_few_transactions_rows_and_flags(tmp_path: Path) -> None:
    """Opened and ended: one rollback, a flag of some reasons, a release in a few transactions."""
    site = Site(root=tmp_path)
    (site.root / "armed").touch()
    async with receiver(site, step="-") as server:
        assert await server.post(storm("firing")) == 200
        await settled(site, "OPEN", ALERTS)
        unwritten = "SELECT count(*) FROM freeze_reason WHERE written_at IS NULL"
        await until(lambda: site.rows(unwritten) == [(0,)], DEADLINE_S, "the flag stands for all")
        opened = steps(site)
        assert opened[Step.JOURNAL_COMMITTED] < TRANSACTIONS_MAX
        assert opened[Step.FREEZE_FLAG_RENAMED] < TRANSACTIONS_MAX / 4
        assert site.rows("SELECT state FROM action WHERE type = 'rollback'") == [("SUCCEEDED",)]
        assert site.rows("SELECT count(*) < 50 FROM action") == [(1,)]
        written = json.loads(site.flag.read_text())
        assert (written["reasons_total"], len(written["reasons"])) == (ALERTS, 20)
        assert site.lines("freezer") == ["on"]
        state = await server.get("/api/v1/state")
        assert (state["episodes_total"], len(state["episodes"])) == (ALERTS, 20)
        assert await server.post(storm("resolved")) == 200
        await settled(site, "CLOSED", ALERTS)
        await until(lambda: not frozen(site), DEADLINE_S, "unfrozen")
        ended = steps(site) - opened
        assert ended[Step.JOURNAL_COMMITTED] < TRANSACTIONS_MAX
        assert ended[Step.FREEZE_FLAG_RENAMED] < TRANSACTIONS_MAX / 4
        assert site.rows("SELECT count(*) FROM action WHERE type = 'unfreeze'") == [(1,)]
        assert site.lines("freezer") == ["on", "off"]
        assert await server.stop() == 0


async def test_an_operator_unfreezes_a_storm(tmp_path: Path) -> None:
    """All reasons at once for the operator, in several transactions; the alerts go on firing."""
    site = Site(root=tmp_path)
    async with receiver(site) as server:
        assert await server.post(storm("firing")) == 200
        await settled(site, "OPEN", ALERTS)
        assert await server.operate("ack", service="gateway") == 202
        assert site.rows("SELECT count(*) FROM episode WHERE acked_at IS NULL") == [(0,)]
        assert await server.operate("unfreeze", service="gateway", reason="a false alarm") == 202
        await until(lambda: not frozen(site) and final(site), DEADLINE_S, "unfrozen")
        assert site.rows("SELECT count(*) FROM freeze_reason WHERE ended_at IS NULL") == [(0,)]
        assert site.rows("SELECT state, count(*) FROM episode GROUP BY 1") == [("OPEN", ALERTS)]


@pytest.mark.parametrize(
    "step, nth",
    [(Step.JOURNAL_BEFORE_COMMIT, 3), (Step.JOURNAL_COMMITTED, 1), (Step.JOURNAL_COMMITTED, 6)],
    ids=str,
)
async def test_a_kill_in_a_storm_loses_no_alert(step: Step, nth: int, tmp_path: Path) -> None:
    """What was acknowledged is planned after the next start without another message; nothing happens twice."""
    site = Site(root=tmp_path)
    async with receiver(site, step=step.value, nth=nth) as server:
        (site.root / "armed").touch()
        acknowledged = await answered(server)
        assert await server.died() == -9
    async with receiver(site) as server:
        if not acknowledged:
            assert await server.post(storm("firing", 600)) == 200
        await settled(site, "OPEN", 600)
        assert site.lines("rollbacks") == ["v2"]
        assert site.rows("SELECT count(*) FROM waiting_alert") == [(0,)]
        assert json.loads(site.flag.read_text())["reasons_total"] == 600
        assert await server.stop() == 0


async def answered(server: Receiver) -> bool:
    """Whether the receiver acknowledged the storm before its death."""
    try:
        return await server.post(storm("firing", 600)) == 200
    except aiohttp.ClientError:
        return False


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_benchmark_of_ten_thousand_alerts_meets_its_aims_of_size(tmp_path: Path) -> None:
    """Ten thousand alerts: one rollback, a short log and a small flag. Times are the benchmark's own aims."""
    command = [sys.executable, "-m", "benchmarks.storm", "--json", "--idle", "5"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["alerts"], found["rollback_rows"], found["rollbacks"]) == (10_000, 1, 1)
    assert found["log_bytes"] <= LOG_MAX_BYTES
    assert found["flag_bytes"] < 16 * 1024
