"""System D: each of the twelve alerts fires from a real fault of the generation service, and nothing else fires.

`./dev soak` breaks the service as each row of the table says: each fault alone, and all faults one after the other in
an order that the seed draws. Both happen with the shipped durations and with fifteenths of them.
"""

import os
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.workload.generation_faults import FAULTS, Fault
from tests.acceptance.workload.generation_set import Desk, RunningSet, running_set
from tests.acceptance.workload.watched import POLL_S, Sight, Watched, expect
from tests.tools import ROOT, Generation
from tests.waiting import wait_until

NAMES = [fault.alert for fault in FAULTS]
FASTER = 15
QUICK = 30
IN_CI = ("UIErrorPanelSpike", "WorkerStalled")
"""Few, because CI is short: one goes to the UI team, and one kills a process."""

FORGOTTEN_S = 900.0
"""So long, with the shipped durations, the windows of the alerts remember a fault after it was mended."""

SEED = int(os.environ.get("FREEZELINE_SEED", "1"))
WHOLE = "1/1"
PART = os.environ.get("FREEZELINE_PART", WHOLE)
"""`2/3`: the second third of the order. The whole order takes more than two hours with the shipped durations, so
machines can share it."""

WINDOW_S = 300.0
"""Of the alerts about a quantile or a share."""

MTTR_S = 300
"""The target of the spec, by the journal. The repair itself takes seconds here; alerts remember a fault for minutes."""

INTERVAL_S = 30.0
"""Of the spec's rules: an alert that waits for its `for` fires at the next evaluation."""


def seen_from(fault: Fault, found: RunningSet, seen: Watched, desk: Desk) -> Sight:
    """Break the service, and see the alert: in time, at the right people, in the journal, and alone."""
    begun = time.time()
    fault.begin(found)
    within_s = fault.within_s / found.faster + fault.ramp_s
    sight = expect(seen, fault.alert, fault.receivers, since=begun, within_s=within_s, repeat=found.repeat)
    print(sight, flush=True)
    assert sight.pending_s <= (waits()[fault.alert] + INTERVAL_S) / found.faster + 2, sight
    wait_until(lambda: desk.episodes(fault.alert), 30, f"the journal knows {fault.alert}")
    return sight


def waits() -> dict[str, float]:
    """The `for` of each alert in the shipped spec, in seconds."""
    text = (ROOT / "slos" / "generation-service.yaml").read_text()
    return {
        name: 60 * float(minutes) for name, minutes in re.findall(r"^  (\w+): +\{.*\bfor: (\d+)m", text, re.MULTILINE)
    }


def part_of(faults: Sequence[Fault]) -> list[Fault]:
    """An order that the seed draws, or the part of the order that FREEZELINE_PART asks for."""
    order = random.Random(SEED).sample(faults, len(faults))
    number, _, parts = PART.partition("/")
    each = len(order) // int(parts)
    return order[(int(number) - 1) * each :][:each]


def forgotten(counted: str, found: RunningSet, seen: Watched) -> None:
    """Wait until no event of earlier faults is in the window of a quantile or a share."""
    query = f"sum(increase({counted}[{int(WINDOW_S / found.faster)}s])) > 0"
    wait_until(lambda: not seen.prometheus.query(query), FORGOTTEN_S, "earlier events are forgotten", poll_s=1)


def in_order(order: Sequence[Fault], found: RunningSet, seen: Watched, desk: Desk) -> None:
    """Break and mend one running service as all the faults say. A fault that fails is told at the end."""
    print(f"seed {SEED}, part {PART}: {', '.join(fault.alert for fault in order)}", flush=True)
    failed = []
    for fault in order:
        if fault.counted:
            forgotten(fault.counted, found, seen)
        begun = time.time()
        try:
            seen_from(fault, found, seen, desk)
        except AssertionError as error:
            failed.append(f"{fault.alert}: {error}")
            print("FAILED", failed[-1], flush=True)
        found.mend(fault.end)
        over_s = FORGOTTEN_S / found.faster + 60
        wait_until(lambda: not seen.active(), over_s, f"{seen.active()} have ended", poll_s=POLL_S)
        others = seen.fired_since(begun) - {fault.alert}
        print(f"{fault.alert}: mended and forgotten after {time.time() - begun:.0f} s; others: {others}", flush=True)
        if others:
            failed.append(f"{fault.alert}: {others} fired too")
    assert failed == [], "\n".join(failed)
    live = {("OPEN",), ("RESOLVING",)}
    wait_until(lambda: not any(live & set(desk.episodes(fault.alert)) for fault in order), 60, "all incidents ended")
    ran = desk.incidents(*(("--mttr-at-most", str(MTTR_S)) if PART == WHOLE else ()))
    print(ran.stdout, ran.stderr, flush=True)
    assert ran.returncode == 0
    assert f"{len(order)} ended, 0 open" in ran.stdout


@pytest.mark.acceptance
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("faster", [FASTER, 1])
@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
async def test_every_alert_fires_from_its_fault(
    fault: Fault, faster: int, generation: Generation, tmp_path: Path
) -> None:
    """Each fault alone, on both generations of Prometheus, also with the shipped times."""
    async with running_set(generation, tmp_path, faster, NAMES) as (found, seen, desk):
        seen_from(fault, found, seen, desk)


@pytest.mark.acceptance
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("faster", [FASTER, 1])
async def test_every_alert_fires_in_any_order(faster: int, generation: Generation, tmp_path: Path) -> None:
    """One running service: what one fault leaves behind makes no other alert fire."""
    async with running_set(generation, tmp_path, faster, NAMES) as (found, seen, desk):
        in_order(part_of(FAULTS), found, seen, desk)


@pytest.mark.acceptance
@pytest.mark.xdist_group("launch")
@pytest.mark.timeout(240)
@pytest.mark.old_in_soak
async def test_some_alerts_fire_from_their_faults(generation: Generation, tmp_path: Path) -> None:
    """Thirtieths of the shipped durations."""
    async with running_set(generation, tmp_path, QUICK, NAMES) as (found, seen, desk):
        in_order([fault for fault in FAULTS if fault.alert in IN_CI], found, seen, desk)
