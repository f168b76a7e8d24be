"""A run's directory as both sides see it: order, lock, claim, cancel, result. Standard library only.

Every file is opened through a descriptor of the directory and never through a symbolic link. A planted name therefore
leads nowhere else. The runner (`receiver.run.runner`) and the receiver (`receiver.run.runs`) share only this directory.
"""

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, fields

ORDER = "order.json"
LOCK = "lock"
CLAIM = "claim"
CANCEL = "cancel"
OUTPUT = "output.log"
RESULT = "result.json"
RUNNER_LOG = "runner.log"

RUN_MARK = "FREEZELINE_RUN"
"""Environment variable with the order's nonce, by which the receiver finds what a killed runner left behind."""

OUTPUT_HEAD_BYTES = 64 * 1024
"""How much of the beginning of a command's output is always kept."""

FILE_MAX_BYTES = 4 * 1024 * 1024
"""The largest order, claim or result. A larger file does not come from Freezeline."""

CANCEL_MAX_BYTES = 1024


class RunDirectoryError(Exception):
    """The run's directory, or a file in it, is not as its owner wrote it."""


class Outcome(StrEnum):
    """How a command ended."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SPAWN_FAILED = "spawn_failed"


class Claimant(StrEnum):
    """Who made the claim, and therefore decided whether the command ever runs."""

    RUNNER = "runner"
    RECEIVER = "receiver"


class Order(Struct, frozen=True, kw_only=True):
    """The command to run. `env` is the command's whole environment, to which only the mark of the run is added."""

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    timeout_s: float
    grace_s: float  # between TERM and KILL
    output_max_bytes: int  # bytes kept of the end of the output, beside the first 64 KiB
    nonce: str  # ties a result to its order


class Result(Struct, frozen=True, kw_only=True):
    """How the command ended. `code` and `signal` are the command's own, not those of its children."""

    nonce: str
    outcome: Outcome
    code: int | None  # exit status, if the command exited
    signal: int | None  # signal, if a signal ended the command
    started_at: datetime | None  # None: never started
    ended_at: datetime
    killed: int  # processes that SIGKILL had to end
    left: int = 0  # processes that were still there when the runner gave up
    reason: str = ""  # why the command was not started, or who cancelled the run and why


class Claim(Struct, frozen=True, kw_only=True):
    """Who claimed the run. On Linux, `pid` and `start_ticks` identify the runner's process for certain."""

    by: Claimant
    pid: int
    start_ticks: int


def now() -> datetime:
    """The time for the record; deadlines use the monotonic clock."""
    return datetime.now(UTC)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[int]:
    """Descriptor of a run's directory.

    Raises RunDirectoryError for a symbolic link, and for a directory of somebody else or open to others. Raises OSError
    if the directory cannot be read at all.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENOENT}:
            raise RunDirectoryError(f"{os.fspath(path)}: {error.strerror}") from error
        raise
    try:
        about = os.fstat(fd)
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
            raise RunDirectoryError(f"{os.fspath(path)}: must belong to the receiver's user and have mode 0700")
        yield fd
    finally:
        os.close(fd)


def write_new(dir_fd: int, name: str, data: bytes) -> None:
    """Create `name` with `data`, durably. Raises FileExistsError if the name is taken, even by a link."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


def write_draft(dir_fd: int, name: str, data: bytes) -> str:
    """Write `data` durably beside `name`, under a name of this process. An earlier draft of this process is removed."""
    draft = f"{name}.{os.getpid()}.tmp"
    remove(dir_fd, draft)
    write_new(dir_fd, draft, data)
    return draft


def remove(dir_fd: int, name: str) -> None:
    """Remove `name` itself, never the target of a link. A missing file is no error."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=dir_fd)


def exists(dir_fd: int, name: str) -> bool:
    """Whether anything has this name, a dangling link included."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def read_json(dir_fd: int, name: str) -> dict[str, Any]:
    """A JSON object from a regular file. Raises FileNotFoundError, or RunDirectoryError for a foreign file."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RunDirectoryError(f"{name}: is a symbolic link") from error
        raise
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise RunDirectoryError(f"{name}: is not a regular file")
        data = file.read(FILE_MAX_BYTES + 1)
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise RunDirectoryError(f"{name}: is not JSON") from error
    if not isinstance(parsed, dict):
        raise RunDirectoryError(f"{name}: is not an object")
    return parsed


def encode(record: Order | Result | Claim) -> bytes:
    """One of the three records as a line of JSON."""
    plain = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(record).items()}
    return json.dumps(plain, ensure_ascii=True).encode() + b"\n"


def read_order(dir_fd: int) -> Order:
    """The order. Raises RunDirectoryError if the order is missing or damaged."""
    try:
        raw = read_json(dir_fd, ORDER)
        known = {field.name: raw[field.name] for field in fields(Order)}
        known["argv"] = tuple(str(word) for word in known["argv"])
        return Order(**known)
    except (FileNotFoundError, KeyError, TypeError) as error:
        raise RunDirectoryError(f"{ORDER}: missing or incomplete ({error})") from error


def read_result(dir_fd: int, nonce: str) -> Result | None:
    """The result of the order with this nonce; None if there is no result, or only a foreign file."""
    try:
        raw = read_json(dir_fd, RESULT)
        if raw.get("nonce") != nonce:
            return None
        known = {field.name: raw[field.name] for field in fields(Result)}
        known["outcome"] = Outcome(known["outcome"])
        for key in ("started_at", "ended_at"):
            known[key] = datetime.fromisoformat(known[key]) if known[key] is not None else None
        return Result(**known)
    except (FileNotFoundError, RunDirectoryError, KeyError, TypeError, ValueError):
        return None


def publish_result(dir_fd: int, draft: str) -> None:
    """Give a written result its name, durably. Readers see the whole result or none."""
    os.rename(draft, RESULT, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    os.fsync(dir_fd)


def read_cancel(dir_fd: int) -> str:
    """Why the run was cancelled; empty if the file holds no readable reason."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(CANCEL, flags, dir_fd=dir_fd), "rb") as file:
            return file.read(CANCEL_MAX_BYTES).decode(errors="replace")
    except OSError:  # A link or a directory of this name also means that somebody wants to cancel.
        return ""


def take_lock(dir_fd: int) -> int | None:
    """Take the run's lock: give a descriptor, whose close frees the lock, or None if another process has the lock.

    Raises RunDirectoryError where the lock is missing or not a regular file.
    """
    try:
        fd = os.open(LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        raise RunDirectoryError(f"{LOCK}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def claim(dir_fd: int, draft: str) -> bool:
    """Give a written claim its name. True if this claim is the first, whoever wrote the claim.

    A hard link is as exclusive as O_EXCL, and creates name and content in the same instant. A kill therefore cannot
    leave a claim without an owner.
    """
    try:
        os.link(draft, CLAIM, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        remove(dir_fd, draft)
    os.fsync(dir_fd)
    return True


def read_claim(dir_fd: int) -> Claim | None:
    """The claim; None for a foreign file, which does not say who claimed."""
    try:
        raw = read_json(dir_fd, CLAIM)
        return Claim(by=Claimant(raw["by"]), pid=int(raw["pid"]), start_ticks=int(raw["start_ticks"]))
    except (FileNotFoundError, RunDirectoryError, KeyError, TypeError, ValueError):
        return None
