"""Who may do what: one token per role, made at the first start, each alone in a file of mode 0600.

`webhook` may deliver alerts, `read` may look, `operate` may look and change. The receiver never runs without tokens.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct, field

TOKEN_BYTES = 32


class Role(StrEnum):
    """What a token allows."""

    WEBHOOK = "webhook"
    READ = "read"
    OPERATE = "operate"


class TokenError(Exception):
    """A token file is damaged, or readable by others."""


class Tokens(Struct, frozen=True):
    """The three tokens."""

    by_role: Mapping[Role, str]
    _allowing: dict[Role, tuple[bytes, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find the tokens that allow what each role may do."""
        of = {role: token.encode() for role, token in self.by_role.items()}
        self._allowing.update({role: (token,) for role, token in of.items()})
        self._allowing[Role.READ] = (of[Role.READ], of[Role.OPERATE])

    def allows(self, given: str, role: Role) -> bool:
        """Whether a token allows what `role` may do; `operate` includes `read`. Takes equal time for any token."""
        offered = given.encode("utf-8", "surrogatepass")  # bytes that are not UTF-8 arrive as surrogates
        matches = [hmac.compare_digest(offered, token) for token in self._allowing[role]]
        return any(matches)


def ensure_tokens(directory: Path) -> Tokens:
    """Read the tokens, and make missing ones. Raises TokenError, or OSError if a file cannot be made."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Tokens({role: _ensure(directory / role.value) for role in Role})


def read_token(directory: Path, role: Role) -> str:
    """One token, for a client on the same machine. Raises TokenError."""
    return _read(directory / role.value)


def _ensure(path: Path) -> str:
    if not path.exists():
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(TOKEN_BYTES))
            file.flush()
            os.fsync(fd)
        temporary.rename(path)
    return _read(path)


def _read(path: Path) -> str:
    try:
        about = path.stat()
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"{path}: cannot be read: {error}") from error
    if stat.S_IMODE(about.st_mode) & 0o077:
        raise TokenError(f"{path}: other users can read this file; run `chmod 0600` on the file")
    if len(token) < 16 or not token.isprintable() or " " in token:
        raise TokenError(f"{path}: the file holds no token; remove the file, and the next start makes a token")
    return token
