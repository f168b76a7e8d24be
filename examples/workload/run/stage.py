"""The directory of a run: shipped specs with this machine's paths, scripts, generated files, configurations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from freezeline.demo.stage import (
    Scrape,
    Stage,
    fill,
    generate,
    write_alertmanager,
    write_prometheus,
    write_receiver,
    write_yaml,
)

CHECKOUT = Path(__file__).resolve().parents[3]
SLOS = CHECKOUT / "slos"
FILES = Path(__file__).resolve().parent / "files"
INTERVAL = "15s"


class Guarded(Struct, frozen=True, kw_only=True):
    """A service with the spec that guards the service. `places`: path in the shipped spec → path in the directory.

    `sides` are the folders of a rollout's machines, the stable one first; HAProxy stands before them.
    """

    spec: str
    needs: tuple[str, ...]
    """`redis`, and `providers`, the stand-ins of the vendors."""
    places: Mapping[str, str] = {}
    sides: tuple[str, ...] = ()


SERVICES: Mapping[str, Guarded] = {
    "assistant": Guarded(
        spec="assistant-phase4",
        needs=("redis",),
        places={"/opt/assistant": "assistant", "/run/haproxy/admin.sock": "haproxy.sock"},
        sides=("control", "treatment"),
    ),
    "generation": Guarded(spec="generation-service", needs=("redis", "providers")),
    "scripts": Guarded(
        spec="day0-launch",
        needs=("providers",),
        places={
            "/opt/day0": "scripts",
            "/var/lib/freezeline-flags/script-generation": "scripts",
            "/etc/flagd/script-generation.json": "scripts/flags.json",
            "/run/haproxy/admin.sock": "haproxy.sock",
        },
        sides=("old", "new"),
    ),
}
"""What people name → the service. Everything in the specs but these paths stays as shipped."""

PEOPLE = ("slack-assistant", "slack-day0-launch-war-room", "pagerduty-day0", "pagerduty-day0-lead", "email-day0")
CHANNELS: Mapping[str, Any] = {
    "toast": {"type": "toast"},
    "log": {"type": "log"},
    **{name: {"type": "log"} for name in PEOPLE},
}
"""There is no Slack, pager or mail on this machine: the channels of the specs write to the receiver's log."""


def built(root: Path, names: Sequence[str]) -> Stage:
    """Copy the scripts and the specs of these services into `root`, and generate there. Raises DemoError."""
    stage = Stage(root, "slos")
    stage.spec.mkdir()
    fill(stage, FILES, root)
    for name in names:
        service, folder = SERVICES[name], root / name
        folder.mkdir()
        if service.sides:
            fill(stage, FILES / "release", folder)
            for role, side in zip(("stable", "canary"), service.sides, strict=True):
                (folder / role).symlink_to(side)  # the scripts are the same for every service
        text = (SLOS / f"{service.spec}.yaml").read_text()
        for shipped, here in service.places.items():
            text = text.replace(shipped, str(root / here))
        (stage.spec / f"{service.spec}.yaml").write_text(text)
    if "scripts" in names:
        (root / "flags.json").replace(root / "scripts" / "flags.json")
    generate(stage)
    return stage


class Configurations(Struct, frozen=True, kw_only=True):
    """Writes the configurations of a run. `scrapes` are the services'."""

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
        """Generated rules, the services, the receiver."""
        return write_prometheus(
            self.stage, scrapes=self.scrapes, alertmanager=alertmanager, receiver=receiver, interval=INTERVAL
        )

    def alertmanager(self, *, receiver: str) -> Path:
        """The generated routes. Mail, Slack and pagers lead nowhere: Alertmanager's page shows what people get."""
        folder = self.stage.generated / "rules" / "alertmanager"
        several = folder / "_all.yml"
        (only, *_) = [several] if several.exists() else sorted(folder.glob("*.yml"))
        path = write_alertmanager(self.stage, receiver=receiver, generated=only.name)
        config = yaml.safe_load(path.read_text())
        for entry in config["receivers"]:
            for outside in [key for key in entry if key not in {"name", "webhook_configs"}]:
                del entry[outside]
        return write_yaml(path, config)

    def receiver(self, *, prometheus: str, alertmanager: str) -> Path:
        """The receiver's settings."""
        return write_receiver(self.stage, prometheus=prometheus, alertmanager=alertmanager, channels=CHANNELS)
