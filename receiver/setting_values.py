"""How the receiver's settings are read: each function makes one kind of value from YAML, or says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import yaml

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class WrongValueError(Exception):
    """A setting has a wrong value. The message says what the value must be, and `hint` says what to type."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def url(raw: Any) -> str:
    """A URL without a slash at the end, or ""."""
    value = text(raw)
    if value == "":
        return value
    try:
        split = urlsplit(value)
        host = split.hostname
    except ValueError:
        host = None
    if host is None or split.scheme not in {"http", "https"} or split.username is not None:
        raise WrongValueError(
            "must be http://HOST… or https://HOST… without a user name",
            "write a URL such as `https://host.example.org`",
        )
    return value.rstrip("/")


def exact_url(raw: Any) -> str:
    """A URL as it is written, because somebody else compares its letters."""
    url(raw)
    return text(raw)


def text(raw: Any) -> str:
    """One line of text."""
    if not isinstance(raw, str) or not raw.isprintable():
        raise WrongValueError("must be one line of text", 'write one line in quotes, such as `"name"`')
    return raw


def connection(raw: Any) -> str:
    """A connection string of PostgreSQL without a password, or ""."""
    value = text(raw)
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415 - most receivers have no PostgreSQL
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - the same
    except ImportError:
        return value  # opening the journal says what to install
    try:
        parts = {name: str(part) for name, part in conninfo_to_dict(value).items()}
    except ProgrammingError as error:
        why = " ".join(str(error).split())
        hint = 'write a string such as `"host=db1,db2 dbname=freezeline user=freezeline"`'
        raise WrongValueError(f"is no connection string of PostgreSQL: {why}", hint) from error
    if parts.get("password"):
        hint = "write the password into `~/.pgpass` of the receiver's user, or into the variable PGPASSWORD"
        raise WrongValueError("holds a password", hint)
    hosts, ports = (len(parts.get(name, "").split(",")) for name in ("host", "port"))
    if ports not in {1, hosts}:
        raise WrongValueError(f"names {hosts} hosts and {ports} ports", "write one port for all hosts, or one for each")
    return value


def path(raw: Any) -> str:
    """An absolute path, or ""."""
    value = text(raw)
    if value and not value.startswith("/"):
        raise WrongValueError("must be an absolute path", "write a path that begins with `/`")
    return value


def header_name(raw: Any) -> str:
    """The name of a header, or ""."""
    value = text(raw)
    if value and _HEADER_NAME.fullmatch(value) is None:
        raise WrongValueError("must be the name of a header", "write a name such as `X-Forwarded-User`")
    return value


def grant(raw: Any) -> str:
    """Whom a list names: `CLAIM=VALUE`, or `*`."""
    value = text(raw)
    claim, _, wanted = value.partition("=")
    if value != "*" and not (claim and wanted):
        raise WrongValueError(
            f"has an entry that names nobody: {value[:40]}", "write `groups=sre`, or `*` for everybody"
        )
    return value


def network(raw: Any) -> str:
    """An address, or a network in the form ADDRESS/BITS."""
    value = text(raw)
    try:
        return str(ip_network(value))
    except ValueError:
        raise WrongValueError(
            f"has no address of a network: {value[:40]}", "write `127.0.0.1`, or `10.0.0.0/8` for a network"
        ) from None


def list_of(one: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    """A list, each item read by `one`."""

    def read(raw: Any) -> tuple[str, ...]:
        if not isinstance(raw, list):
            raise WrongValueError("must be a list", "write `[one, two]`, or `one,two` in an environment variable")
        return tuple(one(value) for value in raw)

    return read


def headers(raw: Any) -> Mapping[str, str]:
    """Names and values, as a mapping or as lines of `NAME: VALUE`. `@/FILE` as a value names the file of a secret."""
    hint = "write `{X-Scope-OrgID: team-a}`, or `{Authorization: '@/etc/freezeline/authorization'}` for a secret"
    values = _header_lines(raw) if isinstance(raw, str) else raw
    if not isinstance(values, dict):
        raise WrongValueError("must be a mapping of headers", hint)
    for name, value in values.items():
        if not isinstance(name, str) or _HEADER_NAME.fullmatch(name) is None:
            raise WrongValueError(f"has a header without a valid name: {str(name)[:40]!r}", hint)
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value.strip():
            raise WrongValueError(f"{name} must be one line of ASCII text", hint)
        if value.startswith("@") and not value.startswith("@/"):
            raise WrongValueError(f"{name} must name its file with an absolute path", hint)
    return dict(values)


def _header_lines(said: str) -> dict[str, str]:
    """The headers of an environment variable: one in each line, as `NAME: VALUE`."""
    lines = (line.partition(":") for line in said.splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _, value in lines}


def parts(said: str) -> list[str]:
    """The parts between commas."""
    return [part.strip() for part in said.split(",") if part.strip()]


def seconds(low: float, high: float) -> Callable[[Any], float]:
    """Seconds between two bounds."""

    def read(raw: Any) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise WrongValueError("must be a number of seconds", "write a number such as `30`")
        if not low <= raw <= high:
            raise WrongValueError(f"must be between {low:g} and {high:g}", f"write a number from {low:g} to {high:g}")
        return float(raw)

    return read


def number(said: str) -> float | str:
    """The number that a text says; the text itself if it says none."""
    try:
        return float(said)
    except ValueError:
        return said


def level(raw: Any) -> str:
    """A level of logs."""
    if raw not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise WrongValueError("must be DEBUG, INFO, WARNING or ERROR", "write one of the four words in capitals")
    return str(raw)


def flag(raw: Any) -> bool:
    """True or false."""
    if not isinstance(raw, bool):
        raise WrongValueError("must be true or false", "write `true` or `false`, without quotes")
    return raw


def truth(said: str) -> bool | str:
    """The truth value that a text says; the text itself if it says none."""
    return {"true": True, "false": False}.get(said, said)


def channels(raw: Any) -> Any:
    """A mapping from names to channels, which the notifiers read."""
    if not isinstance(raw, dict):
        raise WrongValueError("must be a mapping", "write `{log: {type: log}}`")
    return raw


def parse_yaml(said: str) -> Any:
    """The value that a text says in YAML or JSON; the text itself if it says none."""
    try:
        return yaml.safe_load(said)
    except yaml.YAMLError:
        return said
