"""`freezeline status`: which receiver it asks, and what it says about the end of a freeze."""

import argparse
import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from freezeline.commands import status
from freezeline.remote import ENVIRONMENT, USAGE, Remote, RemoteError, remote, usual_places
from receiver import report
from receiver.decide.model import EpisodeState
from receiver.policy.model import FreezeAction
from tests.unit.receiver.builders import NOW, at, episode, freeze_reason, policies, policy

NAMED = {"state": None, "url": None, "token_file": None}


def a_receiver(state: Path, port: int) -> Path:
    """The files that a receiver leaves for the command line."""
    (state / "tokens").mkdir(parents=True)
    (state / "url").write_text(f"http://127.0.0.1:{port}\n")
    (state / "tokens" / "read").write_text("a-token-for-reading")
    return state


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The usual places: of the machine, and of this user. No receiver has been there yet."""
    return tmp_path / "var", tmp_path / "home"


def test_the_usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's, as docs/operating.md sets it up, and the user's own, as the README does."""
    monkeypatch.setenv("HOME", "/home/somebody")
    assert list(map(str, usual_places())) == ["/var/lib/freezeline", "/home/somebody/.local/state/freezeline"]


def test_without_options_the_receiver_of_this_machine_is_asked(places: tuple[Path, Path]) -> None:
    """First the machine's, then the user's own."""
    machine, own = places
    a_receiver(own, 2)
    assert remote(argparse.Namespace(**NAMED), "read", places).url == "http://127.0.0.1:2"
    a_receiver(machine, 1)
    assert remote(argparse.Namespace(**NAMED), "read", places).url == "http://127.0.0.1:1"


def test_options_come_before_the_usual_places(places: tuple[Path, Path], tmp_path: Path) -> None:
    """A state directory, or an address with a token, of another receiver."""
    a_receiver(places[0], 1)
    other = a_receiver(tmp_path / "other", 3)
    assert remote(argparse.Namespace(**{**NAMED, "state": str(other)}), "read", places).url == "http://127.0.0.1:3"
    given = {**NAMED, "url": "http://127.0.0.1:4", "token_file": str(other / "tokens" / "read")}
    assert remote(argparse.Namespace(**given), "read", places).url == "http://127.0.0.1:4"


def test_an_address_without_a_token_asks_for_the_token(places: tuple[Path, Path]) -> None:
    """The address is known, so the message names what is missing."""
    given = {**NAMED, "url": "http://127.0.0.1:4"}
    with pytest.raises(RemoteError) as raised:
        remote(argparse.Namespace(**given), "operate", places)
    assert str(raised.value) == (
        "no token for http://127.0.0.1:4: name a copy of the receiver's tokens/operate with --token-file FILE"
    )
    assert raised.value.exit_code == USAGE


async def test_a_token_that_is_refused_names_the_right_one() -> None:
    """The receiver answers 401 to a token of another receiver."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"error": "the token is missing"}, status=401)

    app = web.Application()
    app.add_routes([web.get("/api/v1/state", refuse)])
    async with TestServer(app) as server:
        asked = Remote(url=str(server.make_url("")).rstrip("/"), token="another")
        with pytest.raises(
            RemoteError, match=r"the token is missing\. Name a copy .* tokens/operate with --token-file"
        ):
            await asyncio.to_thread(asked.get, "/api/v1/state")


def test_no_receiver_is_told_with_both_ways_to_name_one(places: tuple[Path, Path]) -> None:
    """And with the places where the command looked."""
    with pytest.raises(RemoteError, match=r"--state DIR.*--url URL and --token-file FILE") as raised:
        remote(argparse.Namespace(**NAMED), "read", places)
    assert raised.value.exit_code == USAGE
    assert all(str(place) in str(raised.value) for place in places)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_state_of_another_user_is_told(places: tuple[Path, Path]) -> None:
    """With what this user can do."""
    a_receiver(places[0], 1).chmod(0o000)
    with pytest.raises(RemoteError, match="sudo -u USER") as raised:
        remote(argparse.Namespace(**NAMED), "read", places)
    assert raised.value.exit_code == ENVIRONMENT


def shown(**changes: Any) -> list[str]:
    """What status says of one frozen service, whose policy unfreezes five minutes after the resolve."""
    (flag,) = [action.flag for action in policy().actions.values() if isinstance(action, FreezeAction)]
    live = episode(**changes)
    standing = report.Standing(
        seq=1,
        live=(live,),
        counts=(("gateway", "critical", 1),),
        held={flag: 1},
        episodes={live.id: live},
        freeze_reasons=(freeze_reason(flag=flag, episode=live.id, written_at=NOW),),
        actions=(),
        unfinished=(),
        recent=(),
        dead_letters=(),
        flags={flag: "gateway"},
    )
    return status.lines(report.state(standing, policies(policy()), now=NOW, version="0", problems=["disk: full"]))


def test_a_firing_alert_has_no_end_yet() -> None:
    """What has to happen, and when the receiver reviews the freeze."""
    said = shown(review_at=at(86400))
    assert "    ends when: alert resolved for 5 min (now the alert fires); the receiver looks again at" in "\n".join(
        said
    )
    assert said[0] == "PROBLEM disk: full"


def test_a_resolved_alert_has_an_end() -> None:
    """Five minutes after the resolve."""
    said = shown(state=EpisodeState.RESOLVING, resolved_at=NOW)
    assert "    ends at 2026-11-21T08:25:00.000Z at the earliest, when: alert resolved for 5 min" in said


def test_an_operators_freeze_ends_by_a_command() -> None:
    """The command stands there."""
    said = shown(policy="operator", rule="manual", policy_sha256="")
    assert "    ends when somebody runs freezeline unfreeze gateway --reason '…'" in said
