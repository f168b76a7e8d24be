"""`python -m devtools.pictures.releases [OUT]`: pictures of a gate, a rollout and an A/B test, from real runs.

The rollout and the gate run against a real HAProxy, Prometheus and receiver. The A/B test judges a Prometheus that
remembers nine days. The run takes about a minute. Needs Chromium.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import aiohttp
from markdown_it import MarkdownIt

from devtools.steps import say
from freezeline.cli import main as freezeline
from receiver.sources.prometheus import Prometheus
from release.canary.state import Phase, State
from release.engine.ab import AbAsker
from release.engine.begin import database_path, parsed
from release.engine.readings import Tracks
from release.store.database import Database
from tests.acceptance.page.chromium import Page, browser
from tests.acceptance.page.test_page import log_in
from tests.acceptance.release.killed import receiver_of
from tests.acceptance.release.shop import SPEC, Shop, engine, opened
from tests.acceptance.release.systems import remembered
from tests.acceptance.release.test_rollout import baking
from tests.tools import ROOT, PrometheusServer, generations, prometheus_server

STAGES = """\
    - {weight: 50%, bake: 1h, then: {approval: manual}}
    - {weight: 100%, soak: 24h}"""
CHECKS = """\
    - {id: image-pinned, image: "${IMAGE}"}
    - {id: scan-clean, trivy: trivy.json, at_most: {CRITICAL: 0, HIGH: 0}, max_age: 24h, same_digest_as: image-pinned}
    - {id: no-secrets, secrets: {report: gitleaks.json, at_most: 0}}
"""
DAYS = 9
DAY_S = 86400
SCRAPE_S = 1800
EACH = 150
"""Requests of each release between two scrapes."""

SHARES = {"control": (0.005, 0.006), "treatment": (0.0052, 0.0063)}
"""Track → the shares of its requests that fail, and that take more than 500 ms."""

STYLE = """
body { font: 15px/1.5 "DejaVu Sans", sans-serif; color: #1f2328; width: 900px; padding: 20px 24px; margin: 0; }
h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: 6px; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #d1d9e0; padding: 6px 13px; text-align: left; }
td { overflow-wrap: anywhere; }
td:nth-child(-n+2) { overflow-wrap: normal; white-space: nowrap; }
tr:nth-child(even) { background: #f6f8fa; }
"""


def main() -> None:
    """Run everything, and draw."""
    parser = argparse.ArgumentParser(prog="python -m devtools.pictures.releases", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "docs" / "pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="freezeline-rollout-") as directory:
        asyncio.run(_rollout(Path(directory), out))
    with tempfile.TemporaryDirectory(prefix="freezeline-ab-") as directory:
        asyncio.run(_ab_test(Path(directory), out / "ab-report.png"))


async def _rollout(root: Path, out: Path) -> None:
    """A rollout at 50 % on the page, and the gate's report for a release with findings."""
    # The gate says NO-GO, so nothing but a person may ask the gate.
    without_start = SPEC.replace("  start: {{gate: true}}\n", "")
    spec = without_start + CHECKS.replace("{", "{{").replace("}", "}}")
    async with opened(root, generations()[-1], stages=STAGES, spec=spec) as shop, browser() as page:
        _evidence(root)
        shop.canary.renamed("v2")
        with engine(shop, "v2", "--directory", str(root)) as running:
            await baking(shop)
            await log_in(page, receiver_of(shop))
            await page.open(f"{receiver_of(shop).url}/page/rollouts")
            await page.sees("document.body.innerText.match(/pass/g)?.length === 4", "four gates that pass")
            await _draw(page, "[aria-labelledby=rollouts]", out / "rollout.png")
            running.process.kill()
        await asyncio.to_thread(_ask_gate, shop, root)
        html = MarkdownIt("commonmark").enable("table").render((root / "gate.md").read_text())
        (root / "gate.html").write_text(f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>{html}')
        await page.open((root / "gate.html").as_uri())
        await _draw(page, "body", out / "gate.png")


def _evidence(root: Path) -> None:
    """Reports of this moment, in the shapes of Trivy and Gitleaks."""
    scan = json.loads((ROOT / "tests" / "data" / "gate" / "trivy.json").read_text())
    scan["CreatedAt"] = datetime.now(UTC).isoformat()
    (root / "trivy.json").write_text(json.dumps(scan))
    (root / "gitleaks.json").write_text("[]")


def _ask_gate(shop: Shop, root: Path) -> None:
    scan = json.loads((root / "trivy.json").read_text())
    os.environ["IMAGE"] = scan["Metadata"]["RepoDigests"][0]
    argv = ["gate", str(shop.policy), "--prometheus", shop.prometheus.url, "--state", str(shop.site.state)]
    _freezeline(*argv, "--directory", str(root), "--markdown", str(root / "gate.md"))


def _freezeline(*argv: str) -> None:
    """Run a command, whatever its exit code; its text is not needed."""
    with contextlib.redirect_stdout(io.StringIO()):
        freezeline(list(argv))


async def _ab_test(root: Path, path: Path) -> None:
    """System E's A/B test with a look each day, for nine days."""
    text = (ROOT / "rules" / "policy" / "assistant-phase4.policy.json").read_text()
    policy = text.replace('"fixed-horizon"', '"group-sequential"')
    begin = int(time.time()) - DAYS * DAY_S - 7200
    generation = generations()[-1]
    remembered(generation, root / "prometheus", "\n".join(_nine_days(begin, random.Random(7))))  # noqa: S311 - chance of a drawing
    flags = ("--storage.tsdb.retention.time=60d",)
    with prometheus_server(generation, root / "prometheus", "{}\n", flags=flags) as server:
        await _looks(server, database_path(root, "assistant"), policy, begin)
    _freezeline("canary", "report", "assistant", "--state", str(root), "--html", str(root / "report.html"))
    async with browser() as page:
        await page.open((root / "report.html").as_uri())
        # The A/B test stands last in the report: only this part is drawn.
        await page.run(
            "while (document.body.firstElementChild.innerText !== 'Stage 3') document.body.firstChild.remove()"
        )
        await _draw(page, "body", path)


async def _looks(server: PrometheusServer, path: Path, policy: str, begin: int) -> None:
    """Let the engine's judge look once a day."""
    _, canary = parsed(policy, "policy")
    state = State(
        rollout="r1",
        release="v2",
        stable="v1",
        phase=Phase.BAKE,
        stage=2,
        weight=Decimal("0.5"),
        shifted_at=begin,
    )
    now = float(begin)
    tracks = Tracks(canary="treatment", stable="control")
    with closing(Database(path)) as database:
        database.begin(state, policy=policy, every_s=30, at=begin)
        async with aiohttp.ClientSession() as http:
            prometheus = Prometheus(http, server.url)
            asker = AbAsker(canary, tracks, prometheus, database, clock=lambda: now, day_s=DAY_S)
            for day in range(1, DAYS + 1):
                now = float(begin + day * DAY_S)
                await asker(state)


def _nine_days(begin: int, chance: random.Random) -> Iterator[str]:
    """Requests of both tracks in OpenMetrics' format, with chance in every half hour."""
    times = [begin + number * SCRAPE_S for number in range(DAYS * DAY_S // SCRAPE_S + 1)]
    counts = {track: _counts(len(times), shares, chance) for track, shares in SHARES.items()}
    yield "# TYPE http_request counter"
    for track, found in counts.items():
        for (_, failed, _), at in zip(found, times, strict=True):
            yield f'http_request_total{{code="500",track="{track}"}} {failed} {at}'
        for (every, failed, _), at in zip(found, times, strict=True):
            yield f'http_request_total{{code="200",track="{track}"}} {every - failed} {at}'
    yield "# TYPE http_request_duration_seconds histogram"
    for track, found in counts.items():
        for (every, _, late), at in zip(found, times, strict=True):
            name, label = "http_request_duration_seconds", f'track="{track}"'
            yield f'{name}_bucket{{le="0.5",{label}}} {every - late} {at}'
            yield f'{name}_bucket{{le="+Inf",{label}}} {every} {at}'
            yield f"{name}_count{{{label}}} {every} {at}"
            yield f"{name}_sum{{{label}}} {every / 10} {at}"
    yield "# EOF\n"


def _counts(scrapes: int, shares: tuple[float, float], chance: random.Random) -> list[tuple[int, int, int]]:
    """All, failed and late requests so far, at each scrape."""
    found = [(0, 0, 0)]
    for _ in range(scrapes - 1):
        every, failed, late = found[-1]
        new = [sum(chance.random() < share for _ in range(EACH)) for share in shares]
        found.append((every + EACH, failed + new[0], late + new[1]))
    return found


async def _draw(page: Page, selector: str, path: Path) -> None:
    await page.picture(path, selector)
    say(f"drew {path}")


if __name__ == "__main__":
    main()
