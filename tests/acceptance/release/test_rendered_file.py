"""The adapter of a rendered file against a real nginx: splits, read-back, refused files, chosen users, and an abort."""

import asyncio
import socket
from decimal import Decimal
from pathlib import Path

import pytest

from release.traffic.adapter import TrafficError
from tests.acceptance.release.nginx import Nginx
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

WEIGHTS, STICKY = "nginx-weights.conf.j2", "nginx-sticky.conf.j2"


@pytest.mark.parametrize("percent", [1, 5, 10, 50, 100])
def test_the_split_by_weights_is_exact(tmp_path: Path, percent: int) -> None:
    """Over 10,000 requests within 0.1 points; systems.md asks for 1 point."""
    with Nginx(tmp_path, WEIGHTS).running() as nginx:
        asyncio.run(nginx.adapter().set(Decimal(percent) / 100))
        found = nginx.split([""] * 10_000)
    assert abs(found["canary"] - 100 * percent) <= 10
    assert found.total() == 10_000


@pytest.mark.parametrize("percent", [10, pytest.param(50, marks=pytest.mark.soak)])
def test_the_split_by_weights_without_keep_alive(tmp_path: Path, percent: int) -> None:
    """A connection for each request."""
    with Nginx(tmp_path, WEIGHTS).running() as nginx:
        asyncio.run(nginx.adapter().set(Decimal(percent) / 100))
        found = nginx.split([""] * 10_000, keep_alive=False)
    assert abs(found["canary"] - 100 * percent) <= 10


@pytest.mark.parametrize("percent,points", [(1, 1), (5, 1), (10, 1), (50, 2), (100, 0)])
def test_the_split_by_user(tmp_path: Path, percent: int, points: int) -> None:
    """10,000 users: within 1 point, and within 2 points at 50 %, where a hash misses 1 point in one of 20 cases."""
    users = [f"user-{number}" for number in range(10_000)]
    with Nginx(tmp_path, STICKY).running() as nginx:
        asyncio.run(nginx.adapter().set(Decimal(percent) / 100))
        found = nginx.split(users)
        assert abs(found["canary"] - 100 * percent) <= 100 * points
        assert nginx.split(users[:200]) == nginx.split(users[:200])


@pytest.mark.parametrize("name", [WEIGHTS, STICKY])
def test_a_weight_is_read_back_from_the_running_nginx(tmp_path: Path, name: str) -> None:
    """Up and down again; a file that nginx has not read does not count."""
    with Nginx(tmp_path, name).running() as nginx:
        moved = nginx.adapter()
        assert asyncio.run(moved.check()) == ()
        for weight in ("0.05", "0.125", "0.5", "1", "0.1", "0"):
            asyncio.run(moved.set(Decimal(weight)))
            assert asyncio.run(moved.read()) == Decimal(weight)
            assert asyncio.run(moved.check()) == ()
        assert nginx.split([f"user-{number}" for number in range(200)])["canary"] == 0
        nginx.file.write_text(nginx.file.read_text().replace('"0"', '"50"'))
        assert asyncio.run(moved.read()) == 0
        assert "another program writes the file" in " ".join(asyncio.run(moved.check()))


def test_a_file_that_nginx_refuses_is_taken_back(tmp_path: Path) -> None:
    """Nginx goes on with the old split, and could start again at any time."""
    with Nginx(tmp_path, WEIGHTS).running() as nginx:
        moved = nginx.adapter()
        asyncio.run(moved.set(Decimal("0.1")))
        good = nginx.file.read_text()
        nginx.template.write_text(nginx.template.read_text().replace("zone shop", "zoned shop"))
        for weight in ("0.5", "0"):
            with pytest.raises(TrafficError, match=r"exited with 1, .*split.conf is the old file again"):
                asyncio.run(moved.set(Decimal(weight)))
            assert nginx.file.read_text() == good
        assert asyncio.run(moved.read()) == Decimal("0.1")
        assert nginx.split([""] * 1000)["canary"] == 100


def test_a_reload_that_does_nothing_is_found_out(tmp_path: Path) -> None:
    """A higher weight is taken back; a lower weight stays in the file, for whoever reads the file next."""
    with Nginx(tmp_path, WEIGHTS).running() as nginx:
        asyncio.run(nginx.adapter().set(Decimal("0.1")))
        idle = nginx.adapter(reload=("/bin/true",), timeout_s=1.0)
        with pytest.raises(TrafficError, match=r"uses the weight 10.00%, not 50.00%; .* is the old file again"):
            asyncio.run(idle.set(Decimal("0.5")))
        assert 'return 200 "10"' in nginx.file.read_text()
        with pytest.raises(TrafficError, match=r"uses the weight 10.00%, not 0.00%; .* has the lower weight"):
            asyncio.run(idle.cut())
        assert 'return 200 "0"' in nginx.file.read_text()
        asyncio.run(nginx.adapter().cut())
        assert asyncio.run(nginx.adapter().read()) == 0


def test_an_abort_does_not_wait_for_the_read_back(tmp_path: Path) -> None:
    """Nobody can read the share: the canary loses its traffic all the same, and the abort is not called done."""
    with Nginx(tmp_path, WEIGHTS).running() as nginx:
        asyncio.run(nginx.adapter().set(Decimal("0.5")))
        with pytest.raises(TrafficError, match="exited with 1"):
            asyncio.run(nginx.adapter(read=("/bin/false",)).cut())
        wait_until(lambda: asyncio.run(nginx.adapter().read()) == 0, 10, "nginx has read the file")
        assert nginx.split([""] * 50) == {"stable": 50}


@pytest.mark.parametrize("name", [WEIGHTS, STICKY])
def test_chosen_users_get_the_canary(tmp_path: Path, name: str) -> None:
    """Whatever the weight, until the weight is 0."""
    with Nginx(tmp_path, name, users=("alice", "bob@example.org")).running() as nginx:
        moved = nginx.adapter()
        assert nginx.get("alice") == "stable"
        asyncio.run(moved.set(Decimal("0.01")))
        assert nginx.split(["alice", "bob@example.org"] * 100) == {"canary": 200}
        assert nginx.split(["carol"] * 50)["stable"] >= 49
        asyncio.run(moved.cut())
        assert nginx.split(["alice", "bob@example.org", ""] * 20) == {"stable": 60}


def test_an_abort_ends_open_connections(tmp_path: Path) -> None:
    """A client that still waits for the canary is cut off: `worker_shutdown_timeout` ends the old processes."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # connections are taken, and never answered
        with Nginx(tmp_path, WEIGHTS, canary_at=silent.getsockname()[1]).running() as nginx:
            moved = nginx.adapter()
            asyncio.run(moved.set(Decimal(1)))
            with socket.create_connection(("127.0.0.1", nginx.front), timeout=20) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
                peer, _ = silent.accept()
                with peer:
                    asyncio.run(moved.cut())
                    assert client.recv(4096)[:12] in {b"", b"HTTP/1.1 502", b"HTTP/1.1 504"}
            assert nginx.split([""] * 50) == {"stable": 50}


def test_cut_runs_after_the_weight_is_0(tmp_path: Path) -> None:
    """A command of the user's may end what the proxy leaves open."""
    with Nginx(tmp_path, WEIGHTS).running() as nginx:
        asyncio.run(nginx.adapter().set(Decimal("0.1")))
        script = tmp_path / "cut.sh"
        script.write_text(f"#!/bin/sh\ngrep -q 'return 200 \"0\"' {nginx.file} && touch {tmp_path}/cut\n")
        script.chmod(0o755)
        asyncio.run(nginx.adapter(cut=(str(script),)).cut())
        wait_until((tmp_path / "cut").exists, 5, "the command ran")
        with pytest.raises(TrafficError, match="exited with 1"):
            asyncio.run(nginx.adapter(cut=("/bin/false",)).cut())


@pytest.mark.parametrize(
    "old,new,reason",
    [
        ("zone shop 64k;", "zone shop 64k;\n    ip_hash;", "`ip_hash` in the template does not split by weight"),
        ("zone shop 64k;", "zone shop 64k;\n    least_conn;", "`least_conn` in the template"),
        ("canary_percent", "nobody", "the template cannot be used: 'nobody' is undefined"),
        ("{% endif %}", "", "the template cannot be used: line"),
    ],
)
def test_what_breaks_a_split_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    """Before anything is deployed."""
    with Nginx(tmp_path, WEIGHTS).running() as nginx:
        nginx.template.write_text(nginx.template.read_text().replace(old, new))
        try:
            said = " ".join(asyncio.run(nginx.adapter().check()))
        except TrafficError as error:
            said = str(error)
    assert reason in said


def test_a_template_without_a_weight_is_refused(tmp_path: Path) -> None:
    """The file would be the same for every weight."""
    with Nginx(tmp_path, WEIGHTS).running() as nginx:
        nginx.template.write_text(nginx.file.read_text())
        assert "the same file for different weights" in " ".join(asyncio.run(nginx.adapter().check()))


def test_an_nginx_that_is_away_is_an_error(tmp_path: Path) -> None:
    """The weight cannot be read, so nothing is written."""
    nginx = Nginx(tmp_path, WEIGHTS)
    before = nginx.file.read_text()
    for question in (nginx.adapter().read(), nginx.adapter().set(Decimal("0.1"))):
        with pytest.raises(TrafficError, match="exited with 1"):
            asyncio.run(question)
    assert nginx.file.read_text() == before
