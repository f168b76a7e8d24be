"""flagd's file of feature flags: reading and checking the file, and giving one flag other values in place.

Only the wanted values change: every other byte of the file stays as people wrote it. No reader ever sees half a file.
flagd's readers compare times of change, so every new file is newer than the file before.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from receiver.act import flagcheck
from receiver.steps import Reached, Step, pass_by

FILE_MAX_BYTES = 16 * 1024 * 1024
NEWER_NS = 1_000_000
"""How much newer the file's time of change becomes at least. Readers hold the time as a float, which rounds it."""

ENABLED, DISABLED = "ENABLED", "DISABLED"
DEFAULT, TARGETING = "defaultVariant", "targeting"

Values = Mapping[str, Any]
"""Values of one flag, by the file's own keys. A key that the flag lacks stands for null."""

_decoder = json.JSONDecoder()


class FlagdError(Exception):
    """The file of feature flags cannot be used. The message says why, and what people can do."""


class MissingFlagError(FlagdError):
    """The file has no flag of this name."""


class FlagFileText(Struct, frozen=True, kw_only=True):
    """The text of a file of feature flags, and what tells this version of the file from others."""

    path: Path
    text: str
    flags: Mapping[str, Any]
    version: tuple[int, int, int]

    def values(self, flag: str) -> dict[str, Any]:
        """What decides a flag now. Raises MissingFlagError."""
        found = self._flag(flag)
        return {DEFAULT: found.get(DEFAULT), TARGETING: found.get(TARGETING) or None}

    def check(self, flag: str, variant: str) -> None:
        """Raise FlagdError where a flag cannot have this variant, or where nobody would see the variant."""
        found = self._flag(flag)
        variants = found["variants"]
        if variant not in variants:
            raise FlagdError(f"{self.path}: the flag {flag} has no variant {variant}; it has {_listed(variants)}")
        if found.get("state") == DISABLED:
            raise FlagdError(f"{self.path}: the flag {flag} is DISABLED, so nobody would see the variant {variant}")

    def _flag(self, flag: str) -> Mapping[str, Any]:
        found = self.flags.get(flag)
        if found is None:
            raise MissingFlagError(f"{self.path} has no flag {flag}; it has {_listed(self.flags)}")
        return found  # type: ignore[no-any-return]

    def changed(self, flag: str, values: Values) -> str:
        """The text with other values of one flag."""
        text = self.text
        for key, value in values.items():
            if self.values(flag)[key] != value:
                nothing = "{}" if key == TARGETING else "null"
                written = nothing if value is None else json.dumps(value, ensure_ascii=False)
                text = _replaced(text, ("flags", flag), key, written)
        return text


def read(path: Path) -> FlagFileText:
    """Read and check a file of feature flags. Raises FlagdError, and OSError where the file cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise FlagdError(f"{path} is a link, which writing would replace: name the file itself") from error
        raise
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise FlagdError(f"{path} is no file")
        data = file.read(FILE_MAX_BYTES + 1)
    if len(data) > FILE_MAX_BYTES:
        raise FlagdError(f"{path} has more than {FILE_MAX_BYTES} bytes")
    try:
        content = json.loads(data.decode(), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise FlagdError(f"{path} is not JSON: {error}"[:300]) from error
    flags = content.get("flags") if isinstance(content, dict) else None
    if not isinstance(flags, dict):
        raise FlagdError(f"{path} has no `flags`, so the file is not one of flagd's")
    problems = [f"the flag {name} {why}" for name, flag in flags.items() if (why := problem_of(flag))]
    if problems:
        raise FlagdError(f"{path}: {'; '.join(problems[:3])}{'; …' if len(problems) > 3 else ''}")
    return FlagFileText(path=path, text=data.decode(), flags=flags, version=_version(about))


def problem_of(flag: Any) -> str:
    """What flagd's schema forbids about a flag; "" for a sound flag."""
    if not isinstance(flag, dict):
        return "is no object"
    variants, default = flag.get("variants"), flag.get(DEFAULT)
    if flag.get("state") not in {ENABLED, DISABLED}:
        return f"has the state {json.dumps(flag.get('state'))}, not ENABLED or DISABLED"
    if not isinstance(variants, dict) or not variants:
        return "has no variants"
    if len({_kind(value) for value in variants.values()}) > 1:
        return "has variants of different types"
    if default is not None and (not isinstance(default, str) or default not in variants):
        return f"has the default variant {json.dumps(default)}, which is none of {_listed(variants)}"
    if not isinstance(flag.get(TARGETING) or {}, dict):
        return "has a targeting that is no rule of JsonLogic"
    if len(flag.get(TARGETING) or {}) > 1:
        return "has a targeting with several operators; a rule of JsonLogic has one"
    return ""


def write(before: FlagFileText, flag: str, values: Values, reached: Reached = pass_by) -> None:
    """Give one flag other values, durably, and read the file back.

    Raises FlagdError where somebody else writes the file at the same time, and OSError.
    """
    path, text = before.path, before.changed(flag, values)
    if why := problem_of(json.loads(text)["flags"][flag]):
        raise FlagdError(f"{path}: the flag {flag} would be unsound: it {why}")
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        temporary = f".{path.name}.freezeline"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        try:
            _write_temporary(directory, temporary, path, text.encode())
            reached(Step.SWITCH_TEMPORARY_WRITTEN)
            _require_unchanged(directory, before)
            os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except (OSError, FlagdError):
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        reached(Step.SWITCH_FILE_RENAMED)
        os.fsync(directory)
        reached(Step.SWITCH_DIRECTORY_SYNCED)
    finally:
        os.close(directory)
    found = read(path).values(flag)
    if found != dict(values):
        raise FlagdError(f"{path}: the flag {flag} reads back as {shown(found)}, not as {shown(values)}")


def _require_unchanged(directory: int, before: FlagFileText) -> None:
    if _version(os.stat(before.path.name, dir_fd=directory, follow_symlinks=False)) != before.version:
        raise FlagdError(f"{before.path} changed at the same moment")


def _write_temporary(directory: int, temporary: str, path: Path, data: bytes) -> None:
    """The new file: durable, with the old file's permissions and a strictly newer time of change."""
    old = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=directory)
    with os.fdopen(fd, "wb") as file:
        _keep_owner(fd, old, path)
        os.fchmod(fd, stat.S_IMODE(old.st_mode))
        file.write(data)
        file.flush()
        now = os.fstat(fd).st_mtime_ns
        os.utime(fd, ns=(now, max(now, old.st_mtime_ns + NEWER_NS)))
        os.fsync(fd)


def _keep_owner(fd: int, old: os.stat_result, path: Path) -> None:
    """Give the new file the old one's owner and group. Raises FlagdError where its readers would lose the file.

    Only root can keep another owner, and only a member of the group can keep the group.
    """
    for owner in (old.st_uid, -1):
        with contextlib.suppress(PermissionError):
            os.fchown(fd, owner, old.st_gid)
            break
    new = os.fstat(fd)
    lost_owner = new.st_uid != old.st_uid and not old.st_mode & (stat.S_IRGRP | stat.S_IROTH)
    lost_group = new.st_gid != old.st_gid and not old.st_mode & stat.S_IROTH
    if lost_owner or lost_group:
        raise FlagdError(
            f"{path} has an owner or group that could not read a new file of the receiver. Let others read the file, "
            "or make the receiver's user a member of the file's group"
        )


def obstacle(path: Path, wanted: Iterable[tuple[str, str]]) -> str:
    """Why flags could not be set, as far as looking tells; "" if nothing stands in the way.

    `wanted` holds each flag's key and variant.
    """
    try:
        found = read(path)
        for flag, variant in wanted:
            found.check(flag, variant)
    except FlagdError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"{path.parent} cannot be written, so no new file can take the place of {path.name}"
    return ""


def hidden(path: Path) -> str:
    """Why other users cannot read the file; "" if they can."""
    if why := flagcheck.unsearchable(path):
        return f"{why}, so services of theirs cannot read {path.name}"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""  # `obstacle` tells this.
    return "" if mode & stat.S_IROTH else f"other users cannot read {path} (mode {mode:04o})"


def shown(values: Values) -> str:
    """A flag's values for people."""
    targeted = ", with targeting" if values.get(TARGETING) else ""
    return f"{values.get(DEFAULT) or 'no default variant'}{targeted}"


def _version(about: os.stat_result) -> tuple[int, int, int]:
    return about.st_ino, about.st_mtime_ns, about.st_size


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:20]) or "none"


def _replaced(text: str, path: tuple[str, ...], key: str, value: str) -> str:
    """The JSON text with another value of `key` in the object at `path`; a missing key comes first in the object."""
    start = _skip(text, 0)
    for step in path:
        found = _member(text, start, step)
        if found is None:
            raise KeyError(step)
        start, _ = found
    member = _member(text, start, key)
    if member is not None:
        return text[: member[0]] + value + text[member[1] :]
    inside = start + 1
    comma = "" if text[_skip(text, inside)] == "}" else ", "
    return f"{text[:inside]}{json.dumps(key)}: {value}{comma}{text[inside:]}"


def _member(text: str, start: int, key: str) -> tuple[int, int] | None:
    """Where the value of a key begins and ends, in the object that begins at `start`."""
    at = _skip(text, start + 1)
    while text[at] == '"':
        name, at = _decoder.raw_decode(text, at)
        begin = _skip(text, _skip(text, at) + 1)
        _, end = _decoder.raw_decode(text, begin)
        if name == key:
            return begin, end
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at
    return None


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\n\r":
        at += 1
    return at
