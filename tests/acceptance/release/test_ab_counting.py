"""Counts of an A/B test from a real Prometheus: every event of the stage once, however the counting is cut."""

import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
import pytest
from msgspec import Struct

from receiver.sources.asking import SourceError
from receiver.sources.prometheus import Prometheus
from release.ab.counting import Counts, begin, count
from tests.tools import Generation, prometheus_server

pytestmark = pytest.mark.acceptance

SCRAPE_S = 15
HOURS = 3
STAGE_AT_S = 3600
KEY = "errors/canary/total"


class Life(Struct, frozen=True, kw_only=True):
    """A process that counts `each` at every scrape; in the gap nobody scrapes it. `events` are those to be found."""

    events: int
    each: int
    begin_s: int = 0
    end_s: int = HOURS * 3600
    resets: tuple[int, ...] = ()
    gap: tuple[int, int] = (0, 0)

    def samples(self) -> Iterator[tuple[int, int]]:
        """Time and value of each scrape."""
        value = 0
        for at in range(self.begin_s, self.end_s, SCRAPE_S):
            value = self.each if at in self.resets else value + self.each
            if not self.gap[0] < at < self.gap[1]:
                yield at, value


LIVES = {
    "steady": Life(events=479, each=1),
    "reset": Life(events=958, each=2, resets=(5400, 9000)),
    "born": Life(events=360, each=3, begin_s=4500, end_s=6300),
    "returned": Life(events=519, each=1, gap=(3000, 7200)),
    "gone": Life(events=0, each=7, end_s=3300),
}
"""Each process's life, and its events between 3600 s and 10800 s: those after the last sample before the stage.

The last sample is at 10785 s. A series that is away when the stage begins brings the 40 events of its last ten minutes
before the stage along: nobody can tell them from later ones.
"""


@pytest.mark.parametrize("step_s", [7200, 45, 1801])
async def test_every_event_counts_once(generation: Generation, tmp_path: Path, step_s: int) -> None:
    """With resets, births, a gap over the stage's begin, and a counting process that begins again at each step."""
    origin = int(time.time()) - HOURS * 3600 - 600
    lines = ["# TYPE seen counter"]
    for pod, life in LIVES.items():
        lines += [f'seen_total{{pod="{pod}"}} {value} {origin + at}' for at, value in life.samples()]
    (tmp_path / "past.txt").write_text("\n".join([*lines, "# EOF\n"]))
    made = [str(generation.promtool), "tsdb", "create-blocks-from", "openmetrics", "past.txt", "data"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    with prometheus_server(generation, tmp_path, "{}\n", flags=("--storage.tsdb.retention.time=30d",)) as server:
        async with aiohttp.ClientSession() as http:
            asked = Prometheus(http, server.url)
            for pod, life in LIVES.items():
                counts = begin(float(origin + STAGE_AT_S))
                selector = {KEY: f'seen_total{{pod="{pod}"}}'}
                for end_s in [*range(STAGE_AT_S, HOURS * 3600, step_s), HOURS * 3600]:
                    counts = await count(counts, selector, asked, float(origin + end_s))
                    counts = msgspec.json.decode(msgspec.json.encode(counts), type=Counts)
                assert counts.counters[KEY].events == Decimal(life.events), pod
            with pytest.raises(SourceError, match="no raw samples"):
                await asked.raw("seen_total", at_s=float(origin))
