"""The directory of a run: the shipped spec with this machine's paths, scripts, generated files, configurations."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from freezeline.demo.stage import (
    EXAMPLE_ROOT,
    Scrape,
    Stage,
    build,
    write_alertmanager,
    write_prometheus,
    write_receiver,
    write_yaml,
)

CHECKOUT = Path(__file__).resolve().parents[3]
SPEC = CHECKOUT / "slos" / "assistant-phase4.yaml"
FILES = Path(__file__).resolve().parent / "files"
PATHS = {"/opt/assistant": EXAMPLE_ROOT, "/run/haproxy/admin.sock": f"{EXAMPLE_ROOT}/haproxy.sock"}
"""Path in the shipped spec → path in the directory of the run. Everything else stays as shipped."""

INTERVAL = "15s"
CHANNELS: Mapping[str, Any] = {"log": {"type": "log"}, "slack-assistant": {"type": "log"}, "toast": {"type": "toast"}}
"""There is no Slack on this machine: the channel of the spec writes to the receiver's log."""


def built(root: Path) -> Stage:
    """Copy scripts and spec into `root`, and generate there. Raises DemoError if that fails."""
    example = root / "example"
    shutil.copytree(FILES, example)
    text = SPEC.read_text()
    for shipped, here in PATHS.items():
        text = text.replace(shipped, here)
    (example / "slo.yaml").write_text(text)
    return build(root, example)


class Configurations(Struct, frozen=True, kw_only=True):
    """Writes the configurations of a run. `scrapes` are the service's."""

    stage: Stage
    scrapes: Sequence[Scrape]

    def idle_prometheus(self) -> Path:
        """A configuration for the start, before every part has an address."""
        return write_yaml(self.stage.root / "prometheus.yml", {"global": {"scrape_interval": INTERVAL}})

    def idle_alertmanager(self) -> Path:
        """As `idle_prometheus`, for Alertmanager."""
        idle = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
        return write_yaml(self.stage.root / "alertmanager.yml", idle)

    def prometheus(self, *, alertmanager: str, receiver: str) -> Path:
        """Generated rules, the tracks, the receiver."""
        return write_prometheus(
            self.stage, scrapes=self.scrapes, alertmanager=alertmanager, receiver=receiver, interval=INTERVAL
        )

    def alertmanager(self, *, receiver: str) -> Path:
        """The generated routes. The team's e-mail and Slack lead nowhere: Alertmanager's page shows what they get."""
        path = write_alertmanager(self.stage, receiver=receiver, generated="slo.yml")
        config = yaml.safe_load(path.read_text())
        for entry in config["receivers"]:
            for outside in [key for key in entry if key not in {"name", "webhook_configs"}]:
                del entry[outside]
        return write_yaml(path, config)

    def receiver(self, *, prometheus: str, alertmanager: str) -> Path:
        """The receiver's settings."""
        return write_receiver(self.stage, prometheus=prometheus, alertmanager=alertmanager, channels=CHANNELS)
