"""The contents of the demo's directory: the example with its scripts, the generated files, every configuration."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from freezeline.demo.programs import DemoError

EXAMPLE_ROOT = "/opt/freezeline-demo"
"""Where the example's spec says that its scripts and its flag are; the demo's directory takes this place."""

GENERATE_LIMIT_S = 60.0
DEPLOY_LIMIT_S = 10.0

_WEBHOOK_RECEIVER = "freezeline"

Scrape = Mapping[str, Any]
"""One entry of Prometheus' `scrape_configs`."""


class Stage(Struct, frozen=True):
    """The demo's directory, with the paths in it."""

    root: Path
    sources: str = "slo.yaml"
    """The spec's file, or the folder of the specs."""

    @property
    def spec(self) -> Path:
        """The example's spec or specs, with this directory's paths."""
        return self.root / self.sources

    @property
    def generated(self) -> Path:
        """The files that `freezeline generate` wrote."""
        return self.root / "generated"

    @property
    def policies(self) -> Path:
        """The policies that the receiver reads."""
        return self.generated / "rules" / "policy"

    @property
    def state(self) -> Path:
        """The receiver's state directory."""
        return self.root / "state"

    @property
    def flag(self) -> Path:
        """The freeze flag."""
        return self.root / "flag" / "FREEZE.FLAG"

    @property
    def release(self) -> Path:
        """The file that names the live release to the switch."""
        return self.root / "release"

    @property
    def rollback_starts(self) -> int:
        """How often the rollback script started: it writes one line each time."""
        return len(self._rollbacks())

    def rollback_starts_of(self, release: str) -> int:
        """How often the canary's rollback script started for one release, which it writes into its line."""
        return self._rollbacks().count(release)

    def _rollbacks(self) -> list[str]:
        log = self.root / "rollbacks.log"
        return log.read_text().splitlines() if log.exists() else []

    def token(self, role: str) -> Path:
        """The file of one of the receiver's tokens."""
        return self.state / "tokens" / role

    def deploy(self, release: str) -> None:
        """Make a release live, as a pipeline would."""
        subprocess.run([str(self.root / "deploy.sh"), release], check=True, timeout=DEPLOY_LIMIT_S)


def committed_example(name: str = "demo") -> Path:
    """A committed example: beside this file in the wheel, under examples/ in a checkout."""
    here = Path(__file__).resolve().parent
    places = (here / "examples" / name, here.parents[1] / "examples" / name)
    for place in places:
        if (place / "slo.yaml").is_file():
            return place
    raise DemoError(f"the demo's example is in neither of {places[0]} and {places[1]}")


def build(root: Path, example: Path) -> Stage:
    """Copy an example into `root`, and run `freezeline generate` there. Raises DemoError if that fails."""
    stage = Stage(root)
    fill(stage, example, root)
    generate(stage)
    return stage


def fill(stage: Stage, source: Path, folder: Path) -> None:
    """Copy the files of `source` into a folder of the stage, with this directory's paths in them."""
    for file in sorted(source.iterdir()):
        if file.is_file():
            text = file.read_text().replace(EXAMPLE_ROOT, str(stage.root))
            (folder / file.name).write_text(text)
            (folder / file.name).chmod(0o755 if file.suffix == ".sh" else 0o644)


def generate(stage: Stage) -> None:
    """Run `freezeline generate`. Raises DemoError if that fails."""
    for directory in (stage.flag.parent, stage.state):
        directory.mkdir()
    argv = [sys.executable, "-m", "freezeline", "generate", str(stage.spec), "-o", str(stage.generated)]
    done = subprocess.run(argv, cwd=stage.root, capture_output=True, text=True, timeout=GENERATE_LIMIT_S, check=False)
    if done.returncode != 0:
        raise DemoError(f"`freezeline generate {stage.spec}` ended with exit code {done.returncode}:\n{done.stderr}")


def address(url: str) -> str:
    """Host and port of a URL."""
    return url.removeprefix("http://")


class Configurations(Struct, frozen=True, kw_only=True):
    """Writes the demo's configurations. `scrapes` are the service's, `slack` is the URL of the stand-in's webhook."""

    stage: Stage
    scrapes: Sequence[Scrape]
    slack: str

    def idle_prometheus(self) -> Path:
        """A configuration for the start, before every part has an address."""
        return write_yaml(self.stage.root / "prometheus.yml", {"global": {"scrape_interval": "1s"}})

    def idle_alertmanager(self) -> Path:
        """As `idle_prometheus`, for Alertmanager."""
        idle = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
        return write_yaml(self.stage.root / "alertmanager.yml", idle)

    def prometheus(self, *, alertmanager: str, receiver: str) -> Path:
        """Generated rules, the service, the receiver."""
        return write_prometheus(
            self.stage, scrapes=self.scrapes, alertmanager=alertmanager, receiver=receiver, interval="1s"
        )

    def alertmanager(self, *, receiver: str) -> Path:
        """The generated configuration."""
        return write_alertmanager(self.stage, receiver=receiver, generated="slo.yml")

    def receiver(self, *, prometheus: str, alertmanager: str) -> Path:
        """The receiver's settings. Slack's address is a secret, therefore in a file of its own."""
        secret = self.stage.root / "slack-url"
        secret.touch(mode=0o600)
        secret.write_text(self.slack)
        channels = {
            "toast": {"type": "toast"},
            "log": {"type": "log"},
            "slack-demo": {"type": "slack", "url_file": str(secret)},
        }
        return write_receiver(self.stage, prometheus=prometheus, alertmanager=alertmanager, channels=channels)


def write_prometheus(
    stage: Stage, *, scrapes: Sequence[Scrape], alertmanager: str, receiver: str, interval: str
) -> Path:
    """Prometheus' configuration: generated rules, the service, the receiver. URLs have no slash at the end."""
    return write_yaml(
        stage.root / "prometheus.yml",
        {
            "global": {"scrape_interval": interval, "scrape_timeout": "1s", "evaluation_interval": interval},
            "rule_files": [f"{stage.generated}/rules/*.rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [address(alertmanager)]}]}]},
            "scrape_configs": [
                *scrapes,
                {
                    "job_name": "freezeline",
                    "authorization": {"credentials_file": str(stage.token("read"))},
                    "static_configs": [{"targets": [address(receiver)]}],
                },
            ],
        },
    )


def write_alertmanager(stage: Stage, *, receiver: str, generated: str) -> Path:
    """The generated configuration, with the receiver's address and token of this run."""
    source = stage.generated / "rules" / "alertmanager"
    config = yaml.safe_load((source / generated).read_text())
    for template in source.glob("*.tmpl"):
        shutil.copy(template, stage.root)
    for entry in config["receivers"]:
        if entry["name"] == _WEBHOOK_RECEIVER:
            for webhook in entry["webhook_configs"]:
                webhook["url"] = f"{receiver}/webhook"
                webhook["http_config"]["authorization"]["credentials_file"] = str(stage.token("webhook"))
    return write_yaml(stage.root / "alertmanager.yml", config)


def write_receiver(stage: Stage, *, prometheus: str, alertmanager: str, channels: Mapping[str, Any]) -> Path:
    """The receiver's settings."""
    return write_yaml(
        stage.root / "receiver.yaml",
        {"prometheus": {"url": prometheus}, "alertmanagers": [alertmanager], "channels": dict(channels)},
    )


def write_yaml(path: Path, content: dict[str, Any]) -> Path:
    """Write a configuration."""
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))
    return path
