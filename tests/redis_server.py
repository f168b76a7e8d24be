"""A real Redis for tests, on a socket of its own."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis
from msgspec import Struct

from tests.tools import gone_with_us, program, stop
from tests.waiting import wait_until

START_S = 20.0


class RedisServer(Struct, frozen=True, kw_only=True):
    """A running Redis with its address, its files and a client."""

    url: str
    directory: Path
    client: "redis.Redis"


@contextlib.contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    """A Redis from start to end."""
    directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="redis-") as short, (directory / "redis.log").open("wb") as log:
        socket = Path(short) / "s"
        argv = [str(program("redis-server")), "--port", "0", "--unixsocket", str(socket), "--dir", str(directory)]
        process = subprocess.Popen([*argv, "--save", "", *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        with gone_with_us(process):
            try:
                wait_until(lambda: socket.exists() or process.poll() is not None, START_S, "Redis listens")
                client = redis.Redis(unix_socket_path=str(socket))
                with contextlib.closing(client):
                    yield RedisServer(url=f"unix://{socket}", directory=directory, client=client)
            finally:
                stop(process)
