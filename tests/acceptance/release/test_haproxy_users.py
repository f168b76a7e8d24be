"""Chosen users in a real HAProxy: they get the canary whatever its weight, and nobody does after an abort."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from release.policy.canary import ChosenUsers
from release.traffic.adapter import TrafficError
from release.traffic.haproxy import Haproxy
from release.traffic.haproxy_map import ChosenInMap
from release.traffic.runtime_socket import unix_socket
from tests.balancers import Proxy

pytestmark = pytest.mark.acceptance

USERS = ("alice", "bob@example.org")


def site(directory: Path) -> tuple[Proxy, Haproxy, Path]:
    """A proxy whose backend asks a map of users, and the adapter of a policy for this proxy."""
    users = directory / "canary-users.map"
    users.touch()
    rule = f"use-server canary if {{ req.hdr(x-user),map({users}) -m str canary }}"
    proxy = Proxy(directory, backend=f"balance roundrobin\n  {rule}")
    ask = unix_socket(str(proxy.socket))
    chosen = ChosenInMap(ask, ChosenUsers(map=str(users), values=USERS), canary=["canary"])
    return proxy, Haproxy(ask, backend="shop", stable=["stable"], canary=["canary"], users=chosen), users


def answers(proxy: Proxy, user: str, times: int = 20) -> set[str]:
    """Which releases answer a user."""
    return {proxy.get({"X-User": user}) for _ in range(times)}


def test_chosen_users_get_the_canary_at_every_weight(tmp_path: Path) -> None:
    """Others go by weight; at weight 0 nobody is chosen."""
    proxy, moved, _ = site(tmp_path)
    with proxy.running():
        assert asyncio.run(moved.check()) == ()
        assert answers(proxy, "alice") == {"stable"}
        for weight in ("0.01", "0.5"):
            asyncio.run(moved.set(Decimal(weight)))
            assert asyncio.run(moved.read()) == Decimal(weight)
            assert [answers(proxy, user) for user in USERS] == [{"canary"}, {"canary"}]
        assert answers(proxy, "carol") == {"stable", "canary"}
        asyncio.run(moved.set(Decimal(0)))
        assert [answers(proxy, user) for user in USERS] == [{"stable"}, {"stable"}]


def test_chosen_users_do_not_change_the_split_of_others(tmp_path: Path) -> None:
    """Within 0.1 points over 10,000 requests."""
    proxy, moved, _ = site(tmp_path)
    with proxy.running():
        asyncio.run(moved.set(Decimal("0.1")))
        found = proxy.split(10_000)
    assert abs(found["canary"] - 1000) <= 10


def test_an_abort_takes_the_users_away(tmp_path: Path) -> None:
    """Read back from the running HAProxy; a later rollout chooses the users again."""
    proxy, moved, users = site(tmp_path)
    ask = unix_socket(str(proxy.socket))
    with proxy.running():
        asyncio.run(moved.set(Decimal("0.1")))
        assert len(asyncio.run(ask(f"show map {users}")).split("\n0x")) == len(USERS)
        asyncio.run(moved.cut())
        assert asyncio.run(ask(f"show map {users}")).strip() == ""
        assert [answers(proxy, user) for user in USERS] == [{"stable"}, {"stable"}]
        asyncio.run(moved.set(Decimal("0.1")))
        assert answers(proxy, "alice") == {"canary"}


def test_a_map_that_somebody_changed_is_found_out(tmp_path: Path) -> None:
    """A user too many or too few holds the rollout, and the next change of weight mends the map."""
    proxy, moved, users = site(tmp_path)
    ask = unix_socket(str(proxy.socket))
    with proxy.running():
        asyncio.run(moved.set(Decimal("0.1")))
        asyncio.run(ask(f"add map {users} mallory canary"))
        asyncio.run(ask(f"del map {users} alice"))
        with pytest.raises(TrafficError, match="does not choose as meant: alice, mallory"):
            asyncio.run(moved.read())
        assert "the map" in " ".join(asyncio.run(moved.check()))
        asyncio.run(moved.set(Decimal("0.2")))
        assert asyncio.run(moved.read()) == Decimal("0.2")
        assert answers(proxy, "alice") == {"canary"}


def test_a_weight_raised_by_hand_is_seen_although_the_map_is_wrong(tmp_path: Path) -> None:
    """The engine lowers a share that is too high at once, so the map must not hide the share."""
    proxy, moved, users = site(tmp_path)
    ask = unix_socket(str(proxy.socket))
    with proxy.running():
        asyncio.run(moved.set(Decimal("0.1")))
        asyncio.run(ask(f"del map {users} alice"))
        asyncio.run(ask("set server shop/canary weight 99"))
        assert asyncio.run(moved.read()) == Decimal("0.5")


def test_a_share_is_lowered_although_users_cannot_be_chosen(tmp_path: Path) -> None:
    """And the adapter says that the users are not as meant."""
    proxy = Proxy(tmp_path)
    ask = unix_socket(str(proxy.socket))
    plain = Haproxy(ask, backend="shop", stable=["stable"], canary=["canary"])
    chosen = ChosenInMap(ask, ChosenUsers(map="/etc/no.map", values=USERS), canary=["canary"])
    moved = Haproxy(ask, backend="shop", stable=["stable"], canary=["canary"], users=chosen)
    with proxy.running():
        asyncio.run(plain.set(Decimal("0.5")))
        for weight in ("0.1", "0"):
            with pytest.raises(TrafficError, match="HAProxy has no map"):
                asyncio.run(moved.set(Decimal(weight)))
            assert asyncio.run(plain.read()) == Decimal(weight)


def test_a_reload_chooses_nobody(tmp_path: Path) -> None:
    """The map's file is empty, and the canary has weight 0 in HAProxy's file."""
    proxy, moved, _ = site(tmp_path)
    with proxy.running():
        asyncio.run(moved.set(Decimal("0.5")))
    with proxy.running():
        assert asyncio.run(moved.read()) == 0
        assert answers(proxy, "alice") == {"stable"}


def test_a_map_that_haproxy_does_not_know_is_refused(tmp_path: Path) -> None:
    """Before anything is deployed."""
    proxy = Proxy(tmp_path)
    ask = unix_socket(str(proxy.socket))
    chosen = ChosenInMap(ask, ChosenUsers(map="/etc/no.map", values=USERS), canary=["canary"])
    moved = Haproxy(ask, backend="shop", stable=["stable"], canary=["canary"], users=chosen)
    with proxy.running():
        assert "HAProxy has no map /etc/no.map" in " ".join(asyncio.run(moved.check()))
        with pytest.raises(TrafficError, match="HAProxy has no map"):
            asyncio.run(moved.set(Decimal("0.1")))
        assert asyncio.run(Haproxy(ask, backend="shop", stable=["stable"], canary=["canary"]).read()) == 0


def test_users_are_spread_over_several_canary_servers(tmp_path: Path) -> None:
    """Each user stays with one server, and all of them get the new release."""
    users = tmp_path / "canary-users.map"
    users.touch()
    names = ("canary", "canary2")
    rules = [f"use-server {name} if {{ req.hdr(x-user),map({users}) -m str {name} }}" for name in names]
    proxy = Proxy(tmp_path, backend="\n  ".join(["balance roundrobin", *rules]))
    more = f"  server canary2 127.0.0.1:{proxy.canary} weight 0\n"
    proxy.config.write_text(proxy.config.read_text().replace("frontend front\n", f"{more}frontend front\n"))
    ask = unix_socket(str(proxy.socket))
    chosen = ChosenInMap(ask, ChosenUsers(map=str(users), values=USERS), canary=names)
    moved = Haproxy(ask, backend="shop", stable=["stable"], canary=names, users=chosen)
    with proxy.running():
        asyncio.run(moved.set(Decimal("0.01")))
        found = asyncio.run(ask(f"show map {users}")).split("\n")
        assert {tuple(line.split()[1:]) for line in found if line} == set(zip(USERS, names, strict=True))
        assert [answers(proxy, user) for user in USERS] == [{"canary"}, {"canary"}]


def test_a_raise_that_fails_leaves_nobody_chosen(tmp_path: Path) -> None:
    """The users are chosen before the share is raised: where HAProxy refuses the raise, they get the old release."""
    proxy, _, users = site(tmp_path)
    ask = unix_socket(str(proxy.socket))
    chosen = ChosenInMap(ask, ChosenUsers(map=str(users), values=USERS), canary=["canary"])
    moved = Haproxy(ask, backend="shop", stable=["stable"], canary=["nobody"], users=chosen)
    with proxy.running():
        with pytest.raises(TrafficError, match="No such server"):
            asyncio.run(moved.set(Decimal("0.1")))
        assert [answers(proxy, user) for user in USERS] == [{"stable"}, {"stable"}]
