"""compose.yaml fits Compose's schema, names only what is there, and the real servers accept its configuration."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from freezeline.cli import main
from freezeline.problems import Problems
from receiver.policy.directory import read_directory
from tests.tools import ROOT, Generation

COMPOSE = ROOT / "packaging" / "compose"
WHOLE: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, Any] = WHOLE["services"]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What setup.sh generates, by the command in setup.sh."""
    folder = tmp_path_factory.mktemp("generated")
    found = re.search(r"^freezeline (generate .*)$", (COMPOSE / "setup.sh").read_text(), re.MULTILINE)
    assert found
    spec = str(ROOT / "examples" / "demo" / "slo.yaml")
    words = [{'"$examples/slo.yaml"': spec, "/generated": str(folder)}.get(word, word) for word in found[1].split()]
    assert main(words) == 0
    return folder


def test_compose_knows_every_key() -> None:
    """By the schema of the Compose specification."""
    program = str(Path(sys.executable).with_name("check-jsonschema"))
    argv = [program, "--builtin-schema", "vendor.compose-spec", str(COMPOSE / "compose.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_is_mounted_is_there() -> None:
    """Files of the checkout exist, volumes are declared, and nothing is declared in vain."""
    named = set()
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source = mount["source"] if isinstance(mount, dict) else mount.partition(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), f"{name}: {source}"
            else:
                named.add(source)
    assert named == set(WHOLE["volumes"])
    build = SERVICES["setup"]["build"]
    assert (COMPOSE / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


def test_every_address_is_a_service() -> None:
    """Hosts in settings, commands and the generated configuration are names of services, and ports are theirs."""
    texts = [path.read_text() for path in COMPOSE.iterdir()]
    hosts = {host for text in texts for host in re.findall(r"(?:http://|\[\")([a-z][a-z0-9-]*):\d+", text)}
    assert {"receiver", "prometheus", "alertmanager", "shop", "shop-v1", "shop-v2"} <= hosts
    assert hosts - set(SERVICES) == set()


def test_nothing_but_loopback_is_published() -> None:
    """A demonstration has no users, so no other machine may reach the services."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 5
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_receiver_is_confined() -> None:
    """No right of root, and no place to write but its volumes and /tmp."""
    receiver = SERVICES["receiver"]
    assert receiver["read_only"] is True
    assert receiver["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in receiver["security_opt"]


def test_prometheus_and_alertmanager_accept_their_configuration(
    generation: Generation, generated: Path, tmp_path: Path
) -> None:
    """Of both generations, with the tokens where setup.sh puts them."""
    for name in ("freezeline-webhook", "freezeline-read"):
        (tmp_path / name).write_text("a-token")
    text = (COMPOSE / "prometheus.yml").read_text()
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/generated", str(generated)).replace("/tokens", str(tmp_path)))
    told = subprocess.run(
        [generation.promtool, "check", "config", config], capture_output=True, text=True, timeout=60, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert "3 rule files found" in told.stdout
    alertmanager = generated / "rules" / "alertmanager" / "slo.yml"
    assert "credentials_file: /tokens/freezeline-webhook" in alertmanager.read_text()
    told = subprocess.run(
        [generation.amtool, "check-config", alertmanager], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_receiver_accepts_policy_and_settings(generated: Path) -> None:
    """Every channel of the policy is one of receiver.yaml."""
    channels = yaml.safe_load((COMPOSE / "receiver.yaml").read_text())["channels"]
    problems = Problems()
    loaded = read_directory(generated / "rules" / "policy", channels=channels, problems=problems, guarded=False)
    assert (list(problems), len(loaded.policies)) == ([], 1)
