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
from tests.acceptance.workload.generation_set import RunningSet, running_set
from tests.acceptance.workload.watched import Sight, Watched, expect
from tests.tools import ROOT, Generation
from tests.waiting import wait_until

FASTER = 15
QUICK = 30
IN_CI = ("UIErrorPanelSpike", "WorkerStalled")
"""Few, because CI is short: one goes to the UI team, and one kills a process."""

FORGOTTEN_S = 900.0
"""So long, with the shipped durations, the windows of the alerts remember a fault after it was mended."""

SEED = int(os.environ.get("FREEZELINE_SEED", "1"))
INTERVAL_S = 30.0
"""Of the spec's rules: an alert that waits for its `for` fires at the next evaluation."""


def seen_from(fault: Fault, found: RunningSet, seen: Watched) -> Sight:
    """Break the service, and see the alert: in time, at the right people, and alone."""
    begun = time.time()
    fault.begin(found)
    within_s = fault.within_s / found.faster + fault.ramp_s
    sight = expect(seen, fault.alert, fault.receivers, since=begun, within_s=within_s, repeat=found.repeat)
    waits_s = waits()[fault.alert]
    assert sight.pending_s <= (waits_s + INTERVAL_S) / found.faster + 2, sight
    print(sight)
    return sight


def waits() -> dict[str, float]:
    """The `for` of each alert in the shipped spec, in seconds."""
    text = (ROOT / "slos" / "generation-service.yaml").read_text()
    return {
        name: 60 * float(minutes) for name, minutes in re.findall(r"^  (\w+): +\{.*\bfor: (\d+)m", text, re.MULTILINE)
    }


def in_order(faults: Sequence[Fault], found: RunningSet, seen: Watched) -> None:
    """Break and mend one running service as all the faults say, in an order that the seed draws."""
    order = random.Random(SEED).sample(faults, len(faults))
    print(f"seed {SEED}: {', '.join(fault.alert for fault in order)}")
    for number, fault in enumerate(order, start=1):
        seen_from(fault, found, seen)
        if number < len(order):
            found.mend(fault.end)
            wait_until(lambda: not seen.active(), FORGOTTEN_S / found.faster + 60, f"{seen.active()} have ended")


@pytest.mark.acceptance
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("faster", [FASTER, 1])
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.alert for fault in FAULTS])
def test_every_alert_fires_from_its_fault(fault: Fault, faster: int, generation: Generation, tmp_path: Path) -> None:
    """Each fault alone, on both generations of Prometheus, also with the shipped times."""
    with running_set(generation, tmp_path, faster) as (found, seen):
        seen_from(fault, found, seen)


@pytest.mark.acceptance
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("faster", [FASTER, 1])
def test_every_alert_fires_in_any_order(faster: int, generation: Generation, tmp_path: Path) -> None:
    """One running service: what one fault leaves behind makes no other alert fire."""
    with running_set(generation, tmp_path, faster) as (found, seen):
        in_order(FAULTS, found, seen)


@pytest.mark.acceptance
@pytest.mark.xdist_group("launch")
@pytest.mark.timeout(240)
def test_some_alerts_fire_from_their_faults(generation: Generation, tmp_path: Path) -> None:
    """Thirtieths of the shipped durations."""
    if generation.label == "old":
        pytest.skip("both generations are taken by ./dev soak")
    with running_set(generation, tmp_path, QUICK) as (found, seen):
        in_order([fault for fault in FAULTS if fault.alert in IN_CI], found, seen)
