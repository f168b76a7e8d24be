"""Redis: a snapshot by BGSAVE, checked by redis-check-rdb, restored into a Redis of its own, and compared key by key.

The extra `freezeline[drill]` brings the client. The snapshot's file must be on this machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from msgspec import Struct

from freezeline import extras
from release.drill.backups import Contents, Part, Restored, differences
from release.drill.experiment import DrillError

FILE = "dump.rdb"
SAVE_LIMIT_S = 600.0
START_LIMIT_S = 300.0
CHECK_LIMIT_S = 600.0
STOP_LIMIT_S = 15.0
POLL_S = 0.05
BATCH = 500
BUCKET_S = 600.0
"""Keys that expire are compared in groups of ten minutes: later groups must be whole."""


class RedisStore(Struct, frozen=True, kw_only=True):
    """A running Redis. `server` and `check_rdb` are the paths of Redis' programs on this machine."""

    name: str
    url: str
    server: str
    check_rdb: str
    kind: str = "redis"

    def back_up(self, folder: Path) -> Contents:
        """Save a snapshot and copy it. What is in it tells a Redis that loads the copy.

        If nothing wrote to the live Redis meanwhile, the live Redis must hold the same.
        """
        with _client(self.url) as live:
            _bgsave(live)
            shutil.copyfile(_path_of(live), folder / FILE)
            present, quiet = contents_of(live), _writes(live) == 0
        with tempfile.TemporaryDirectory(prefix="freezeline-redis-") as scratch:
            held = self.restore(folder, Path(scratch)).contents
        if quiet and differences(present, held, now=time.time()):
            raise DrillError("the snapshot holds something else than the Redis that saved it")
        return held

    def restore(self, folder: Path, scratch: Path) -> Restored:
        """Check the snapshot, and load it into a Redis of its own, without an append-only file."""
        check(self.check_rdb, folder / FILE)
        shutil.copyfile(folder / FILE, scratch / FILE)
        with loaded(self.server, scratch) as restored:
            return Restored(contents=contents_of(restored))


def check(check_rdb: str, path: Path) -> None:
    """Raise DrillError unless redis-check-rdb finds a snapshot to be whole, its checksum included."""
    try:
        done = subprocess.run(
            [check_rdb, str(path)], capture_output=True, text=True, errors="replace", timeout=CHECK_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DrillError(f"redis-check-rdb: {error}") from error
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise DrillError(f"redis-check-rdb: {last[0] if last else done.returncode}")


@contextlib.contextmanager
def loaded(server: str, directory: Path) -> Iterator[Any]:
    """A Redis that has loaded the snapshot of a directory, and listens on a socket there alone. Raises DrillError."""
    log = directory / "redis.log"
    with contextlib.ExitStack() as stack:
        # The path of a socket has at most 107 bytes, which a directory of backups may well exceed.
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="freezeline-redis-"))
        process, url = stack.enter_context(_started(server, directory, Path(short) / "s", log))
        client = stack.enter_context(_client(url))
        _until(lambda: _ready(client, process, log), START_LIMIT_S, "the restored Redis does not load its snapshot")
        yield client


@contextlib.contextmanager
def _started(server: str, directory: Path, socket: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "dir": str(directory),
        "dbfilename": FILE,
        "appendonly": "no",
        "save": "",
        "daemonize": "no",
    }
    argv = [server, *(word for name, value in options.items() for word in (f"--{name}", value))]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process, f"unix://{socket}"
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT_S)


def _ready(client: Any, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        tail = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise DrillError(f"redis-server does not load the snapshot: {tail[0] if tail else process.returncode}")
    with contextlib.suppress(_errors().ConnectionError, _errors().BusyLoadingError):
        return bool(client.info("persistence")["loading"] == 0)
    return False


def contents_of(client: Any) -> Contents:
    """Keys and digest of each database, by values and expiry times, however Redis stores the values.

    Keys that expire are told apart by the time, because some may expire before they are compared.
    """
    found: dict[str, Part] = {}
    try:
        for number in sorted(int(name.removeprefix("db")) for name in client.info("keyspace")):
            client.select(number)
            for bucket, lines in _lines(client).items():
                name = f"database {number}" + ("" if bucket is None else f", keys that expire from {bucket:.0f}")
                digest = hashlib.sha256(b"".join(sorted(lines))).hexdigest()
                found[name] = Part(count=len(lines), sha256=digest, gone_from=bucket)
        client.select(0)
    except _errors().RedisError as error:
        raise DrillError(f"Redis cannot be read: {error}") from error
    return found


def _lines(client: Any) -> Mapping[float | None, Sequence[bytes]]:
    """A digest of each key of a database, by the time from which the key may be gone; None for keys that stay."""
    found: dict[float | None, list[bytes]] = {}
    for key in set(client.scan_iter(count=BATCH)):
        kind, expires_ms = client.type(key).decode(), client.pexpiretime(key)
        if kind == "none":
            continue  # has expired just now
        value = READERS.get(kind, _dumped)(client, key)
        bucket = None if expires_ms < 0 else expires_ms / 1000 // BUCKET_S * BUCKET_S
        line = hashlib.sha256(repr((key, kind, expires_ms, value)).encode()).digest()
        found.setdefault(bucket, []).append(line)
    return found


def _dumped(client: Any, key: bytes) -> Any:
    """The serialisation of a type that a module brought."""
    return client.dump(key)


READERS: Mapping[str, Callable[[Any, bytes], Any]] = {
    "string": lambda client, key: client.get(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "hash": lambda client, key: sorted(client.hgetall(key).items()),
    "set": lambda client, key: sorted(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "stream": lambda client, key: client.xrange(key),
}


def _bgsave(client: Any) -> None:
    """Save a snapshot, and wait for its end. Raises DrillError."""
    try:
        _until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"], SAVE_LIMIT_S, "a save does not end")
        before = _saves(client)
        client.bgsave()
        _until(lambda: _is_saved(client, before), SAVE_LIMIT_S, "BGSAVE does not end")
    except _errors().RedisError as error:
        raise DrillError(f"BGSAVE: {error}") from error


def _saves(client: Any) -> int:
    """How many saves have succeeded; before Redis 7, the time of the last one."""
    return int(client.info("persistence").get("rdb_saves", client.lastsave().timestamp()))


def _is_saved(client: Any, before: int) -> bool:
    """Whether a further save has succeeded. Raises DrillError after one that failed."""
    found = client.info("persistence")
    if found["rdb_bgsave_in_progress"]:
        return False
    if found["rdb_last_bgsave_status"] != "ok":
        raise DrillError("BGSAVE failed: rdb_last_bgsave_status is not ok")
    return _saves(client) > before


def _writes(client: Any) -> int:
    """Writes since the last save."""
    return int(client.info("persistence")["rdb_changes_since_last_save"])


def _path_of(client: Any) -> Path:
    try:
        directory, name = client.config_get("dir")["dir"], client.config_get("dbfilename")["dbfilename"]
    except _errors().RedisError as error:
        raise DrillError(f"Redis does not say where its snapshot is: {error}") from error
    path = Path(str(directory), str(name))
    if not path.is_file():
        raise DrillError(f"{path} is not on this machine")
    return path


def _until(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= end:
            raise DrillError(what)
        time.sleep(POLL_S)


@contextlib.contextmanager
def _client(url: str) -> Iterator[Any]:
    try:
        client = import_module("redis").Redis.from_url(url, socket_timeout=60)
    except ImportError as error:
        raise DrillError(f"the client of Redis is missing: {extras.install('drill')}") from error
    except ValueError as error:
        raise DrillError(f"{url}: {error}") from error
    try:
        yield client
    except _errors().RedisError as error:
        raise DrillError(f"Redis: {error}") from error
    finally:
        client.close()


def _errors() -> Any:
    return import_module("redis.exceptions")
