"""Settings of `freezeline toast`, checked before anything is opened."""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
TOKEN_MAX_BYTES = 4096


class SettingsError(Exception):
    """A setting that is refused; the message says which and why."""


class TokenError(Exception):
    """The token file cannot be used now."""


class Settings(Struct, frozen=True, kw_only=True):
    """`url` is where the receiver is reached, `public_url` how it calls itself in notices; both without a final slash.

    `after` asks for everything after a sequence number where `seen_file` does not exist yet.
    """

    url: str
    public_url: str
    token_file: Path
    seen_file: Path
    after: int | None = None


def check_url(text: str, option: str) -> str:
    """A receiver's address: HTTPS, or plain HTTP to loopback. Raises SettingsError."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"{option} {text!r} is no URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise SettingsError(f"{option} {text!r} is no http:// or https:// URL")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(f"{option} may hold no user, query or fragment")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise SettingsError(f"{option} must be https:// (plain HTTP is for loopback only): the token would be readable")
    return text.rstrip("/")


def read_token(path: Path) -> str:
    """The token, read anew for each connection. Raises TokenError, also where others may read the file."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            raw = file.read(TOKEN_MAX_BYTES + 1)
    except OSError as error:
        raise TokenError(f"token file {path}: {error.strerror}") from error
    # Windows has no such bits; a file in the user's profile is the user's own there.
    if os.name == "posix" and (not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077):
        mode = stat.S_IMODE(status.st_mode)
        raise TokenError(f"token file {path}: mode {mode:04o} lets others in; run: chmod 600 {path}")
    token = raw.decode("ascii", "replace").strip()
    if len(raw) > TOKEN_MAX_BYTES or not token or not token.isprintable() or not token.isascii() or " " in token:
        raise TokenError(f"token file {path}: must hold the token alone")
    return token


def default_seen_file(url: str, environment: Mapping[str, str], home: Path) -> Path:
    """One file a receiver in the user's state directory (XDG base directories; %LOCALAPPDATA% on Windows)."""
    base = environment.get("XDG_STATE_HOME") or environment.get("LOCALAPPDATA") or str(home / ".local" / "state")
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return Path(base) / "freezeline" / f"toast-{digest}.json"


def settings_from(
    *, url: str, public_url: str | None, token_file: str, seen_file: str | None, after: int | None
) -> Settings:
    """Settings from the command line's texts. Raises SettingsError."""
    if after is not None and after < 0:
        raise SettingsError("--after counts from 0")
    checked = check_url(url, "--url")
    public = check_url(public_url, "--public-url") if public_url is not None else checked
    default = default_seen_file(checked, os.environ, Path.home())
    return Settings(
        url=checked,
        public_url=public,
        token_file=Path(token_file),
        seen_file=default if seen_file is None else Path(seen_file),
        after=after,
    )
