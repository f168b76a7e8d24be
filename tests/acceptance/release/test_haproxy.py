"""The HAProxy adapter against a real HAProxy: exact splits, read-back, refusals, reloads, and the order of an abort."""

import asyncio
import csv
import io
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from release.traffic.adapter import TrafficError
from release.traffic.haproxy import Haproxy
from release.traffic.runtime_socket import unix_socket
from tests.balancers import Proxy
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance


def adapter(proxy: Proxy, *, canary: str = "canary", backend: str = "shop") -> Haproxy:
    """The adapter of a policy for this proxy."""
    return Haproxy(unix_socket(str(proxy.socket)), backend=backend, stable=["stable"], canary=[canary])


@pytest.mark.parametrize("percent", [1, 5, 10, 50, 100])
def test_the_split_is_exact(tmp_path: Path, percent: int) -> None:
    """Over 10,000 requests within 0.1 points; systems.md asks for 1 point."""
    with Proxy(tmp_path).running() as proxy:
        asyncio.run(adapter(proxy).set(Decimal(percent) / 100))
        found = proxy.split(10_000)
    assert abs(found["canary"] - 100 * percent) <= 10
    assert found.total() == 10_000


@pytest.mark.parametrize("percent", [10, *(pytest.param(one, marks=pytest.mark.soak) for one in (1, 5, 50, 100))])
def test_the_split_without_keep_alive(tmp_path: Path, percent: int) -> None:
    """A connection for each request. Over 10,000 requests within 0.1 points, too."""
    with Proxy(tmp_path).running() as proxy:
        asyncio.run(adapter(proxy).set(Decimal(percent) / 100))
        found = proxy.split(10_000, keep_alive=False)
    assert abs(found["canary"] - 100 * percent) <= 10
    assert found.total() == 10_000


def test_a_weight_is_read_back(tmp_path: Path) -> None:
    """Each weight of a stage, up and down again, and a weight that somebody set by hand."""
    with Proxy(tmp_path).running() as proxy:
        moved = adapter(proxy)
        for weight in ("0.05", "0.125", "0.5", "1", "0.1", "0"):
            asyncio.run(moved.set(Decimal(weight)))
            assert asyncio.run(moved.read()) == Decimal(weight)
        asyncio.run(unix_socket(str(proxy.socket))("set server shop/canary weight 100"))
        assert asyncio.run(moved.read()) == Decimal("0.5")


class Killed(Exception):  # noqa: N818 - no error
    """The engine dies after one of HAProxy's commands."""


@pytest.mark.parametrize("old,new", [("0.1", "0.5"), ("0.5", "1"), ("0.5", "0.1"), ("1", "0")])
def test_a_kill_between_two_commands_leaves_no_share_beyond_both(tmp_path: Path, old: str, new: str) -> None:
    """At each boundary; what is set again from there arrives."""
    low, high = sorted((Decimal(old), Decimal(new)))
    with Proxy(tmp_path).running() as proxy:
        left = 1
        while True:
            asyncio.run(adapter(proxy).set(Decimal(old)))
            commands = iter(range(left))

            def reached(_command: str, commands: Iterator[int] = commands) -> None:
                if next(commands, None) is None:
                    raise Killed

            killed = Haproxy(
                unix_socket(str(proxy.socket)), backend="shop", stable=["stable"], canary=["canary"], reached=reached
            )
            try:
                asyncio.run(killed.set(Decimal(new)))
                break
            except Killed:
                assert low <= asyncio.run(adapter(proxy).read()) <= high
            left += 1
        assert left > 1
        assert asyncio.run(adapter(proxy).read()) == Decimal(new)


def test_a_sound_proxy_passes_the_check(tmp_path: Path) -> None:
    """No reason against it."""
    with Proxy(tmp_path).running() as proxy:
        assert asyncio.run(adapter(proxy).check()) == ()


@pytest.mark.parametrize(
    "backend,mode,defaults,reason",
    [
        ("balance static-rr", "http", "", "`balance static-rr` does not split by weight"),
        ("balance leastconn", "http", "", "`balance leastconn` does not split by weight"),
        ("balance source", "http", "", "`balance source` does not split by weight"),
        ("balance roundrobin", "tcp", "", "`mode tcp` binds whole connections"),
        ("balance roundrobin\n  cookie SERVER insert", "http", "", "a `cookie` binds clients"),
        ("balance roundrobin\n  server other 127.0.0.1:9", "http", "", "other servers, which take traffic: other"),
    ],
)
def test_what_breaks_a_split_is_refused(tmp_path: Path, backend: str, mode: str, defaults: str, reason: str) -> None:
    """Before anything is deployed."""
    with Proxy(tmp_path, backend=backend, mode=mode, defaults=defaults).running() as proxy:
        reasons = asyncio.run(adapter(proxy).check())
    assert [one for one in reasons if reason in one], reasons


def test_names_that_the_proxy_does_not_know(tmp_path: Path) -> None:
    """HAProxy answers with a text and success: the adapter does not believe the success."""
    with Proxy(tmp_path).running() as proxy:
        assert asyncio.run(adapter(proxy, canary="new").check())[0] == "the backend shop has no server new"
        with pytest.raises(TrafficError, match="No such server"):
            asyncio.run(adapter(proxy, canary="new").set(Decimal("0.1")))
        with pytest.raises(TrafficError, match="no backend nowhere"):
            asyncio.run(adapter(proxy, backend="nowhere").read())


def test_a_proxy_that_is_away_is_an_error(tmp_path: Path) -> None:
    """Before it starts, and after it stopped."""
    proxy = Proxy(tmp_path)
    for question in (adapter(proxy).read(), adapter(proxy).set(Decimal("0.1")), adapter(proxy).cut()):
        with pytest.raises(TrafficError, match="does not answer"):
            asyncio.run(question)


def test_a_reload_fails_safe(tmp_path: Path) -> None:
    """HAProxy started anew reads the file, where the canary has weight 0."""
    proxy = Proxy(tmp_path)
    with proxy.running():
        asyncio.run(adapter(proxy).set(Decimal("0.5")))
    with proxy.running():
        assert asyncio.run(adapter(proxy).read()) == 0
        assert set(proxy.split(100)) == {"stable"}


def test_an_abort_ends_sessions_too(tmp_path: Path) -> None:
    """Weight 0, maintenance, and no session left: a client that waits for the canary's answer is cut off."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # connections are taken, and never answered
        with Proxy(tmp_path, canary_at=silent.getsockname()[1]).running() as proxy:
            moved = adapter(proxy)
            asyncio.run(moved.set(Decimal(1)))
            client = socket.create_connection(("127.0.0.1", proxy.front), timeout=10)
            with client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
                wait_until(lambda: asyncio.run(moved.sessions()) == 1, 10, "the canary has a session")
                wait_until(lambda: cut(moved), 10, "no session is left")
                assert asyncio.run(moved.read()) == 0
                assert client.recv(4096)[:12] in {b"", b"HTTP/1.1 502", b"HTTP/1.1 503"}
            assert set(proxy.split(50)) == {"stable"}
            # And a later rollout begins again from there.
            asyncio.run(moved.set(Decimal("0.1")))
            assert asyncio.run(moved.read()) == Decimal("0.1")


def cut(moved: Haproxy) -> bool:
    """Cut as the engine does: again, while sessions are still ending."""
    try:
        asyncio.run(moved.cut())
    except TrafficError as error:
        if "sessions" not in str(error):
            raise
        return False
    return True


TWO = {"stable": ["stable", "stable2"], "canary": ["canary", "canary2"]}


def two_a_side(directory: Path) -> tuple[Proxy, Haproxy]:
    """A proxy with two servers of each release, and its adapter."""
    proxy = Proxy(directory)
    more = f"  server stable2 127.0.0.1:{proxy.stable} weight 100\n  server canary2 127.0.0.1:{proxy.canary} weight 0\n"
    proxy.config.write_text(proxy.config.read_text().replace("frontend front\n", f"{more}frontend front\n"))
    return proxy, Haproxy(unix_socket(str(proxy.socket)), backend="shop", stable=TWO["stable"], canary=TWO["canary"])


def test_several_servers_a_side(tmp_path: Path) -> None:
    """The split of 10,000 requests is exact, each server of a side gets as many requests, and an abort takes all."""
    proxy, moved = two_a_side(tmp_path)
    with proxy.running():
        assert asyncio.run(moved.check()) == ()
        for percent in (10, 50):
            asyncio.run(moved.set(Decimal(percent) / 100))
            assert asyncio.run(moved.read()) == Decimal(percent) / 100
            before = requests_of(proxy)
            assert abs(proxy.split(10_000)["canary"] - 100 * percent) <= 10
            got = {name: count - before[name] for name, count in requests_of(proxy).items()}
            for one, other in TWO.values():
                assert abs(got[one] - got[other]) <= 5
        asyncio.run(moved.cut())
        assert asyncio.run(moved.read()) == 0
        assert asyncio.run(moved.sessions()) == 0
        assert set(proxy.split(50)) == {"stable"}
        asyncio.run(moved.set(Decimal("0.1")))
        assert asyncio.run(moved.read()) == Decimal("0.1")


def requests_of(proxy: Proxy) -> dict[str, int]:
    """How many requests HAProxy has sent to each server."""
    text = asyncio.run(unix_socket(str(proxy.socket))("show stat shop 4 -1")).removeprefix("# ")
    return {row["svname"]: int(row["stot"]) for row in csv.DictReader(io.StringIO(text)) if row["svname"]}
