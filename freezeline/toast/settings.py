"""The settings of `freezeline toast`, checked before any connection."""

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
    """A refused setting; the message names the setting and the reason."""


class TokenError(Exception):
    """The token file cannot be used now."""


class Settings(Struct, frozen=True, kw_only=True):
    """`url` is the receiver's address, `public_url` its address in notices; both without a slash at the end.

    `after` asks for every event after a sequence number, if `seen_file` does not exist yet.
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
        raise SettingsError(f"{option} {text!r} is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise SettingsError(f"{option} {text!r} is not an http:// or https:// URL")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(f"{option} may hold no user, query or fragment")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise SettingsError(f"{option} must be https://: plain HTTP, only allowed on loopback, would show the token")
    return text.rstrip("/")


def read_token(path: Path) -> str:
    """The token, read again for each connection. Raises TokenError, also if other users may read the file."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            raw = file.read(TOKEN_MAX_BYTES + 1)
    except OSError as error:
        raise TokenError(f"token file {path}: {error.strerror}") from error
    # Windows has no such bits: there, a file in the user's profile belongs to the user.
    if os.name == "posix" and (not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077):
        mode = stat.S_IMODE(status.st_mode)
        raise TokenError(f"token file {path}: mode {mode:04o} lets other users read the token; run: chmod 600 {path}")
    token = raw.decode("ascii", "replace").strip()
    if len(raw) > TOKEN_MAX_BYTES or not token or not token.isprintable() or not token.isascii() or " " in token:
        raise TokenError(f"token file {path}: must hold only the token")
    return token


def default_seen_file(url: str, environment: Mapping[str, str], home: Path) -> Path:
    """One file for each receiver in the user's state directory (XDG base directories; %LOCALAPPDATA% on Windows)."""
    base = environment.get("XDG_STATE_HOME") or environment.get("LOCALAPPDATA") or str(home / ".local" / "state")
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return Path(base) / "freezeline" / f"toast-{digest}.json"


def settings_from(
    *, url: str, public_url: str | None, token_file: str, seen_file: str | None, after: int | None
) -> Settings:
    """Settings from the texts of the command line. Raises SettingsError."""
    if after is not None and after < 0:
        raise SettingsError("--after takes a number of 0 or more")
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
