"""The routes that the README shows are those of `merge`, and nobody's page is slower for them."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from freezeline.cli import main
from tests.acceptance.alertmanager.firing import alert
from tests.acceptance.alertmanager.sink import Sink, running_sink
from tests.tools import ROOT, Generation, alertmanager_server
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

README = (ROOT / "README.md").read_text()
WATCHDOG = {"alertname": "FreezelineWatchdog", "severity": "none", "service": "freezeline", "team": "freezeline"}
PAGE = {"alertname": "DiskFull", "severity": "critical"}
GROUP_INTERVAL_S = 40  # the group of an alert that fires for ever makes new alerts wait as long
USERS = "route:\n  receiver: on-call\nreceivers:\n- name: on-call\n"


def block(first_words: str) -> str:
    """The README's code block that begins with these words."""
    (found,) = [part for part in README.split("```yaml\n")[1:] if part.startswith(first_words)]
    return found.partition("```")[0]


def by_hand() -> dict[str, Any]:
    """The README's configuration, with the user's receiver that the block leaves out."""
    config: dict[str, Any] = yaml.safe_load(block("route:"))
    config["receivers"].append({"name": "on-call"})
    return config


def by_merge(folder: Path) -> dict[str, Any]:
    """The same root, merged with the README's spec."""
    spec, config = folder / "checkout.yaml", folder / "users.yml"
    spec.write_text(block("# slos/checkout.yaml"))
    config.write_text(USERS)
    assert main(["alertmanager", "merge", "--write", str(config), str(spec)]) == 0
    found: dict[str, Any] = yaml.safe_load(config.read_text())
    return found


def test_readme_and_merge_give_the_same_routes(tmp_path: Path) -> None:
    """Both routes to the receiver, the last route, the receiver, and the file of the token; `merge` adds people."""
    written, merged = by_hand(), by_merge(tmp_path)
    routes = merged["route"]["routes"]
    shown = [*(route for route in routes if route["receiver"] == "freezeline"), routes[-1]]
    assert written["route"] == merged["route"] | {"routes": shown}
    assert len(routes) > len(shown)
    names = {receiver["name"] for receiver in written["receivers"]}
    assert written["receivers"] == [receiver for receiver in merged["receivers"] if receiver["name"] in names]


def running_config(config: dict[str, Any], folder: Path, sink: Sink) -> str:
    """The configuration with every receiver at the sink, and a root that groups slowly."""
    (folder / "token").write_text("a-token")
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{sink.url}/{receiver['name']}"}]
    config["route"] |= {"group_wait": "1s", "group_interval": f"{GROUP_INTERVAL_S}s", "repeat_interval": "1h"}
    return str(yaml.safe_dump({key: config[key] for key in ("route", "receivers")}))


@pytest.mark.timed
@pytest.mark.parametrize("way", ["README", "merge"])
def test_a_page_does_not_wait_for_the_watchdog(generation: Generation, tmp_path: Path, way: str) -> None:
    """While the watchdog fires, a page reaches on-call in the time of `group_wait`, as without Freezeline."""
    config = by_hand() if way == "README" else by_merge(tmp_path)
    with running_sink() as sink:
        text = running_config(config, tmp_path, sink)
        with alertmanager_server(generation, tmp_path, text) as server:
            server.post_alerts([alert(WATCHDOG)])
            told = wait_until(lambda: sink.first("/freezeline", "Watchdog"), 15, "the receiver hears of the watchdog")
            wait_until(lambda: time.monotonic() > told.at + 2, 5, "a group of the root would have been sent too")
            sent_at = time.monotonic()
            server.post_alerts([alert(PAGE)])
            page = wait_until(lambda: sink.first("/on-call", "DiskFull"), GROUP_INTERVAL_S + 15, "on-call is paged")
        assert page.at - sent_at < GROUP_INTERVAL_S / 4
        assert sink.first("/on-call", "Watchdog") is None
        assert sink.first("/freezeline", "DiskFull") is not None
