"""`python -m devtools.pictures.workload [OUT]`: draw the panels of systems D and E from the running workload.

The run takes about ten minutes. First all is well. Then the vendors of the generation service are slow, and some jobs
fail. At the same time, a rollout of the assistant meets a release with errors.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devtools.pictures.page import WIDTH, draw
from devtools.steps import say
from generator.pipeline import load_set
from generator.render.dashboards import dashboard
from tests.acceptance.page.chromium import browser
from tests.acceptance.workload.watched import Repeat
from tests.acceptance.workload.whole import Whole, whole
from tests.tools import ROOT, generations, request
from tests.waiting import wait_until

PICTURES = {"generation-service": "workload-generation.webp", "assistant-phase4": "workload-assistant.webp"}
SHOWN = "10m"
SCOPE = "slos"


def main() -> None:
    """Start the workload, break it, and draw."""
    parser = argparse.ArgumentParser(prog="python -m devtools.pictures.workload", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "docs" / "pictures")
    parser.add_argument("--calm", type=float, default=180, help="seconds in which all is well")
    parser.add_argument("--trouble", type=float, default=270, help="seconds with faults")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="freezeline-pictures-") as directory,
        whole(generations()[-1], Path(directory)) as found,
    ):
        say("the workload is up")
        _pass(options.calm)
        _trouble(found, options.trouble)
        options.out.mkdir(parents=True, exist_ok=True)
        for spec, name in PICTURES.items():
            page, height = draw(found.prometheus, _own_panels(spec), time.time())
            source = Path(directory) / "page.html"
            source.write_text(page)
            asyncio.run(_picture(source, height, options.out / name))
            say(f"drew {options.out / name}")


def _pass(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + 1, "time has passed")


def _trouble(found: Whole, seconds: float) -> None:
    """Slow vendors, dead letters and error panels; and a release with errors."""
    faults = {"openai": {"kind": "drip", "wait_s": 0.6}, "embeddings": {"kind": "slow", "wait_s": 0.6}}
    api = found.addresses["generation"].removesuffix("/health") + "/api/v1"
    bodies: dict[str, tuple[float, dict[str, Any]]] = {
        "jobs": (30, {"texts": ["x"], "batch": 5}),
        "ui/errors": (9, {"type": "timeout"}),
    }
    repeat = Repeat()
    try:
        request("POST", found.addresses["providers"], json.dumps(faults).encode())
        for path, (every_s, body) in bodies.items():
            repeat.every(every_s, _poster(f"{api}/{path}", body))
        found.deploy("assistant", "errors")
        with found.rollout("errors"):
            _pass(seconds)
    finally:
        repeat.end()


def _poster(url: str, body: dict[str, Any]) -> Callable[[], object]:
    return lambda: request("POST", url, json.dumps(body).encode())


def _own_panels(name: str) -> dict[str, Any]:
    """The dashboard with nothing but the panels that the spec lists."""
    path = ROOT / "slos" / f"{name}.yaml"
    (spec,) = load_set([(f"slos/{path.name}", path.read_bytes())], SCOPE).output_set.specs
    titles = {panel.title for panel in spec.dashboard.panels} if spec.dashboard else set[str]()
    drawn = dict(dashboard.render(spec, SCOPE))
    panels = [dict(panel) for panel in drawn["panels"] if panel["title"] in titles]
    top = min(panel["gridPos"]["y"] for panel in panels)
    for panel in panels:
        panel["gridPos"] = {**panel["gridPos"], "y": panel["gridPos"]["y"] - top}
    return {**drawn, "panels": panels, "time": {"from": f"now-{SHOWN}", "to": "now"}}


async def _picture(source: Path, height: int, out: Path) -> None:
    async with browser() as tab:
        await tab.send(
            "Emulation.setDeviceMetricsOverride", width=WIDTH, height=height, deviceScaleFactor=1, mobile=False
        )
        await tab.open(source.as_uri())
        await tab.picture(out)


if __name__ == "__main__":
    main()
