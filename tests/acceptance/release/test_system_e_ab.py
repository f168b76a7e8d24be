"""What system E's shipped A/B test says after a fortnight, on a real Prometheus that remembers the fortnight."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct

from receiver.sources.prometheus import Prometheus
from release.canary.state import AbJudged, Answers, Phase, State
from release.engine.ab import AbAsker
from release.engine.begin import parsed
from release.engine.readings import Tracks
from release.policy.canary import Canary
from release.store.database import Database
from tests.acceptance.release.systems import remembered
from tests.acceptance.release.test_rollout import current
from tests.tools import ROOT, PrometheusServer, prometheus_server

pytestmark = pytest.mark.acceptance

POLICY = ROOT / "rules" / "policy" / "assistant-phase4.policy.json"
AB_STAGE = 2
STAGE_S = 14 * 86400
SCRAPE_S = 1800
EACH = 1000
"""Requests of each track between two scrapes: 672,000 in the fortnight."""


def canary() -> Canary:
    """The shipped canary."""
    _, found = parsed(POLICY.read_text(), POLICY.name)
    return found


TRACKS: Mapping[str, tuple[int, int]] = {
    "control": (5, 30),
    "same": (5, 30),
    "better": (5, 27),
    "failing": (7, 30),  # within the gate's 1 %
    "slower": (5, 37),  # within the gate's 5 % above 500 ms
    "harmful": (20, 30),
}
"""Track → how many of its 1000 requests between two scrapes fail, and how many take more than 500 ms."""


class Past(Struct, frozen=True, kw_only=True):
    """A Prometheus that remembers a fortnight of every track since `begin`."""

    server: PrometheusServer
    begin: int


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One Prometheus for all tests. What differs between generations of Prometheus is tested with counting."""
    generation, folder = current(), tmp_path_factory.mktemp("past") / "prometheus"
    begin = int(time.time()) - STAGE_S - 7200
    remembered(generation, folder, "\n".join(_lines(begin)))
    with prometheus_server(generation, folder, "{}\n", flags=("--storage.tsdb.retention.time=60d",)) as server:
        yield Past(server=server, begin=begin)


def _lines(begin: int) -> Iterator[str]:
    """The fortnight in OpenMetrics' format."""
    scrapes = [(number, begin + number * SCRAPE_S) for number in range(STAGE_S // SCRAPE_S + 1)]
    yield "# TYPE http_request counter"
    for track, (bad, _) in TRACKS.items():
        for code, each in (("500", bad), ("200", EACH - bad)):
            yield from (f'http_request_total{{code="{code}",track="{track}"}} {each * nth} {at}' for nth, at in scrapes)
    yield "# TYPE http_request_duration_seconds histogram"
    for track, (_, late) in TRACKS.items():
        for nth, at in scrapes:
            series, label = "http_request_duration_seconds", f'track="{track}"'
            yield f'{series}_bucket{{le="0.5",{label}}} {(EACH - late) * nth} {at}'
            yield f'{series}_bucket{{le="+Inf",{label}}} {EACH * nth} {at}'
            yield f"{series}_count{{{label}}} {EACH * nth} {at}"
            yield f"{series}_sum{{{label}}} {EACH * nth / 10} {at}"
    yield "# EOF\n"


async def judged(past: Past, folder: Path, track: str, after_s: float) -> AbJudged | None:
    """The answer of the engine's judge on one track, so long after the stage began."""
    state = State(
        rollout="r1",
        release="v2",
        stable="v1",
        phase=Phase.EVALUATE if after_s >= STAGE_S else Phase.BAKE,
        stage=AB_STAGE,
        weight=Decimal("0.5"),
        shifted_at=past.begin,
        answers=Answers(),
    )
    tracks = Tracks(canary=track, stable="control")
    with closing(Database(folder / "assistant.db")) as database:
        database.begin(state, policy=POLICY.read_text(), every_s=30, at=past.begin)
        async with aiohttp.ClientSession() as http:
            prometheus = Prometheus(http, past.server.url)
            asker = AbAsker(canary(), tracks, prometheus, database, clock=lambda: past.begin + after_s, day_s=86400)
            return await asker(state)


@pytest.mark.parametrize(
    "track,after_s,outcome",
    [
        ("same", STAGE_S, "not_worse"),
        ("better", STAGE_S, "not_worse"),
        ("failing", STAGE_S, "worse"),
        ("slower", STAGE_S, "worse"),
        ("same", STAGE_S / 2, "undecided"),  # a fixed horizon says nothing before its end
        ("harmful", STAGE_S / 2, "worse"),  # but harm is told at once
    ],
)
async def test_a_fortnight_is_judged(past: Past, tmp_path: Path, track: str, after_s: float, outcome: str) -> None:
    """The selectors, levels and counts are those of the shipped policy."""
    found = await judged(past, tmp_path, track, after_s)
    assert found is not None
    assert found.outcome == outcome, found.why
