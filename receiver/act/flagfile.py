"""The freeze flag on disk: its text, and writing, reading and removing, so that no reader sees half a file.

While the file exists, the service is frozen. Files are opened through a descriptor of their directory, never through a
link.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from receiver.decide.model import FlagView, stamp_ms
from receiver.decide.plan import BY_OPERATOR
from receiver.steps import Reached, Step, pass_by

FORMAT = "freezeline.flag/2"
HEARTBEAT_FORMAT = "freezeline.heartbeat/1"
HEARTBEAT_NAME = "FREEZE.HEARTBEAT"
FLAG_MAX_BYTES = 4 * 1024 * 1024


class FlagDirectoryError(Exception):
    """The flag's directory is missing, is a link, belongs to somebody else, or is writable by others."""


def flag_text(view: FlagView, *, generation: int, host: str, written_at: str, unfreeze_when: Mapping[str, str]) -> str:
    """The flag's content: how many reasons freeze the service, and the oldest of these with their episodes.

    `unfreeze_when` maps episodes to texts.
    """
    reasons = []
    for freeze_reason in view.freeze_reasons:
        episode = view.episodes[freeze_reason.episode]
        reasons.append(
            {
                "episode": freeze_reason.episode,
                "rule": episode.rule,
                "alert": episode.alert,
                "spec": episode.spec,
                "reason": freeze_reason.reason,
                "since": stamp_ms(freeze_reason.since),
                "unfreeze_when": unfreeze_when.get(freeze_reason.episode, BY_OPERATOR),
                "review_at": stamp_ms(episode.review_at) if episode.review_at else None,
            }
        )
    content = {
        "format": FORMAT,
        "generation": generation,
        "service": next(iter(view.episodes.values())).service if view.episodes else "",
        "host": host,
        "written_at": written_at,
        "since": min((stamp_ms(freeze_reason.since) for freeze_reason in view.freeze_reasons), default=written_at),
        "journal_seq": view.seq,
        "reasons_total": view.count,
        "reasons": reasons,
        "rollbacks": [
            {"action": rollback.id, "release": rollback.payload.get("release", "")} for rollback in view.rollbacks
        ],
    }
    # `indent` of `json` is four times slower, and leaves cycles behind that only the garbage collector finds.
    return msgspec.json.format(json.dumps(content, ensure_ascii=True), indent=1) + "\n"


def named_episodes(text: str | None) -> frozenset[str]:
    """The episodes that a flag's text names; none if the text is missing or foreign."""
    if text is None:
        return frozenset()
    try:
        raw: Any = json.loads(text)
        return frozenset(str(reason["episode"]) for reason in raw["reasons"])
    except (ValueError, KeyError, TypeError):
        return frozenset()


def is_up_to_date(view: FlagView) -> bool:
    """Whether the last written flag stands for exactly the reasons in force."""
    text = view.file.text if view.file else None
    named = named_episodes(text)
    return (
        not view.unwritten
        and named == {freeze_reason.episode for freeze_reason in view.freeze_reasons}
        and _total(text, len(named)) == view.count
    )


def _total(text: str | None, named: int) -> int:
    """How many reasons a flag's text counts. A text without a count names every reason."""
    raw = json.loads(text) if text is not None and named else {}
    return int(raw.get("reasons_total", named))


def lacks_rollbacks(text: str | None, rollbacks: Iterable[str]) -> bool:
    """Whether a flag's text should name these rollbacks and names others. Earlier versions name none, which is known.

    A text that is missing or foreign lacks nothing: the next writing of the flag names everything.
    """
    try:
        raw: Any = json.loads(text or "")
        return {str(rollback["action"]) for rollback in raw["rollbacks"]} != set(rollbacks)
    except (ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def directory(path: Path, *, make: bool) -> Iterator[int]:
    """Descriptor of a flag's directory, which must belong to us and be writable only by us.

    Raises FlagDirectoryError for another directory, and OSError if the directory cannot be opened or made.
    """
    parent = path.parent
    if make and not parent.exists():
        parent.mkdir(parents=True, exist_ok=True)
        parent.chmod(0o755)  # Whatever the umask is: other users must be able to read the flag.
    try:
        fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENOENT}:
            raise FlagDirectoryError(f"{parent}: {error.strerror}") from error
        raise
    try:
        about = os.fstat(fd)
        if about.st_uid != os.geteuid():
            raise FlagDirectoryError(f"{parent}: must belong to the receiver's user")
        if stat.S_IMODE(about.st_mode) & 0o022:
            raise FlagDirectoryError(f"{parent}: must not be writable by group or others")
        yield fd
    finally:
        os.close(fd)


def write_flag(path: Path, text: str, reached: Reached = pass_by) -> None:
    """Write a flag durably: temporary file beside the flag, fsync, rename, fsync of the directory."""
    with directory(path, make=True) as dir_fd:
        write_in(dir_fd, path.name, text.encode(), reached)


def write_new_flag(path: Path, text: str, reached: Reached = pass_by) -> str | None:
    """Do as `write_flag`, but only if there is no flag. Returns the text of a flag that is there."""
    there = text_on_disk(path)
    if there is None:
        write_flag(path, text, reached)
    return there


def write_in(dir_fd: int, name: str, data: bytes, reached: Reached = pass_by, *, durable: bool = True) -> None:
    """Replace `name` in a directory, all or nothing, mode 0644. An earlier temporary file of `name` is removed."""
    temporary = f".{name}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, 0o644, dir_fd=dir_fd)
    except FileExistsError:
        os.unlink(temporary, dir_fd=dir_fd)
        fd = os.open(temporary, flags, 0o644, dir_fd=dir_fd)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, 0o644)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(fd)
    except OSError:
        # A disk without space needs the blocks that the half-written file has.
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=dir_fd)
        raise
    reached(Step.FREEZE_TEMPORARY_WRITTEN)
    os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    reached(Step.FREEZE_FLAG_RENAMED)
    if durable:
        os.fsync(dir_fd)
        reached(Step.FREEZE_DIRECTORY_SYNCED)


def read_flag(path: Path) -> str | None:
    """The flag's text; None if there is no flag. Unreadable bytes are replaced: a damaged flag still counts.

    There is no flag either where something else is in the place of the directory: a pipeline sees none there.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return ""
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(FLAG_MAX_BYTES).decode(errors="replace")
    finally:
        os.close(fd)


def text_on_disk(path: Path) -> str | None:
    """Do as `read_flag`. A flag that the receiver may not read is still a flag."""
    try:
        return read_flag(path)
    except PermissionError:
        return ""


def remove_flag(path: Path) -> bool:
    """Remove a flag durably; False if there was none."""
    if not path.parent.exists():
        return False
    with directory(path, make=False) as dir_fd:
        try:
            os.unlink(path.name, dir_fd=dir_fd)
        except FileNotFoundError:
            return False
        os.fsync(dir_fd)
    return True


def write_heartbeat(flag: Path, content: Mapping[str, object]) -> None:
    """Write the heartbeat beside a flag, to show that a receiver watches. Readers see the old file or the new one."""
    with directory(flag, make=True) as dir_fd:
        data = json.dumps({"format": HEARTBEAT_FORMAT, **content}, ensure_ascii=True).encode() + b"\n"
        write_in(dir_fd, HEARTBEAT_NAME, data, durable=False)
