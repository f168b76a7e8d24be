"""`python -m devtools.pictures [OUT]`: draw every dashboard from a real Prometheus into OUT (docs/pictures).

The run takes about twenty minutes: it writes thirty days of past, and waits until alerts fire.
"""

import argparse
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devtools.pictures.page import WIDTH, draw
from devtools.steps import say
from generator.pipeline import load_set
from generator.render.dashboards import dashboard
from tests.acceptance.dashboards.meter import Incident
from tests.acceptance.dashboards.stage import Past, staged
from tests.acceptance.dashboards.workloads import systems
from tests.tools import ROOT, PrometheusServer, generations
from tests.waiting import wait_until

SCOPE = "slos"
DAY_S = 86400
# A coarse past without the series that no objective needs, then a fine and complete one.
PASTS = (
    Past(
        length_s=30 * DAY_S, step_s=120, interval_s=300, only=re.compile(r"(?!freezeline|kube|container|db_|.*_sum).*")
    ),
    Past(length_s=3 * 3600, step_s=15),
)
EARLIER = tuple(
    Incident(begins_s=-day * DAY_S, ends_s=-day * DAY_S + minutes * 60, level=level)
    for day, minutes, level in ((26.3, 25, 0.3), (19.1, 40, 0.25), (11.6, 15, 0.5), (6.4, 30, 0.35), (2.2, 12, 0.4))
)
CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking")
CHROMIUM_LIMIT_S = 120


def main() -> None:
    """Prepare Prometheus, wait, and draw."""
    parser = argparse.ArgumentParser(prog="python -m devtools.pictures", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "docs" / "pictures")
    parser.add_argument(
        "--live", type=float, default=900, help="how many seconds Prometheus scrapes before the drawing"
    )
    parser.add_argument("--short", action="store_true", help="write only three hours of past")
    options = parser.parse_args()
    files = [(f"slos/{path.name}", path.read_bytes()) for path in sorted((ROOT / "slos").glob("*.yaml"))]
    output_set = load_set(files, SCOPE).output_set
    drawn = {spec.name: dashboard.render(spec, SCOPE) for spec in output_set.specs}
    drawn["overview"] = dashboard.render_overview(output_set.specs, SCOPE)
    pasts = PASTS[1:] if options.short else PASTS
    with tempfile.TemporaryDirectory(prefix="freezeline-pictures-") as directory:
        started = time.monotonic()
        with staged(generations()[-1], Path(directory), output_set, systems(EARLIER), pasts) as server:
            say(f"Prometheus answers at {server.url} after {time.monotonic() - started:.0f} s")
            until = time.monotonic() + options.live
            wait_until(lambda: time.monotonic() >= until, options.live + 1, "the alerts had time to fire")
            options.out.mkdir(parents=True, exist_ok=True)
            for name, found in drawn.items():
                _picture(server, found, options.out / f"{name}.png")


def _picture(server: PrometheusServer, found: Mapping[str, Any], path: Path) -> None:
    page, height = draw(server, found, time.time())
    with tempfile.TemporaryDirectory(prefix="freezeline-page-") as directory:
        source = Path(directory) / "page.html"
        source.write_text(page)
        argv = ["chromium", *CHROMIUM, f"--user-data-dir={directory}/profile", f"--window-size={WIDTH},{height}"]
        argv += [f"--screenshot={path}", source.as_uri()]
        subprocess.run(argv, check=True, timeout=CHROMIUM_LIMIT_S, capture_output=True)
    say(f"drew {path}")


if __name__ == "__main__":
    main()
