"""The receiver's own settings: `receiver.yaml`, and an environment variable for each.

SETTINGS is the one table: reading, docs/settings.md (checked by a test) and error hints come from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from msgspec import Struct

from freezeline.problems import Position, Problems
from receiver.notify import Channel, parse_channels
from receiver.policy.positions import locate

TEXT_MAX_BYTES = 1024 * 1024


class _WrongValueError(Exception):
    """A value cannot be taken; the message says what is expected."""


class Setting(Struct, frozen=True, kw_only=True):
    """One setting. `name` is its path in receiver.yaml, with dots; `read` turns text or YAML into its value."""

    name: str
    default: Any
    read: Callable[[Any], Any]
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that overrides receiver.yaml."""
        return "FREEZELINE_" + self.name.upper().replace(".", "_")


class Settings(Struct, frozen=True, kw_only=True):
    """Every setting of SETTINGS, by its name with dots as underscores."""

    public_url: str
    prometheus_url: str
    prometheus_token_file: str
    alertmanagers: tuple[str, ...]
    alertmanager_receiver: str
    alertmanager_settle_s: float
    allowed_hosts: tuple[str, ...]
    channels: Mapping[str, Channel]
    templates: str
    reconcile_every_s: float
    stop_wait_s: float
    log_level: str
    journal_exclusive: bool


def _url(raw: Any) -> str:
    text = _text(raw)
    if text == "":
        return text
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or parts.scheme not in {"http", "https"} or parts.username is not None:
        raise _WrongValueError("must be http://HOST… or https://HOST… without a user name")
    return text.rstrip("/")


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.isprintable():
        raise _WrongValueError("must be one line of text")
    return raw


def _path(raw: Any) -> str:
    text = _text(raw)
    if text and not text.startswith("/"):
        raise _WrongValueError("must be an absolute path")
    return text


def _list(one: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    def read(raw: Any) -> tuple[str, ...]:
        values = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        if not isinstance(values, list):
            raise _WrongValueError("must be a list (in the environment: separated by commas)")
        return tuple(one(value) for value in values)

    return read


def _seconds(low: float, high: float) -> Callable[[Any], float]:
    def read(raw: Any) -> float:
        try:
            value = float(raw)
        except (TypeError, ValueError) as error:
            raise _WrongValueError("must be a number of seconds") from error
        if isinstance(raw, bool) or not low <= value <= high:
            raise _WrongValueError(f"must lie between {low:g} and {high:g}")
        return value

    return read


def _level(raw: Any) -> str:
    if raw not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise _WrongValueError("must be DEBUG, INFO, WARNING or ERROR")
    return str(raw)


def _flag(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if raw not in {"true", "false"}:
        raise _WrongValueError("must be true or false")
    return bool(raw == "true")


def _channels(raw: Any) -> Any:
    if isinstance(raw, str):
        try:
            return yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise _WrongValueError("must be a mapping in YAML or JSON") from error
    return raw


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="public_url",
        default="http://127.0.0.1:9099",
        read=_url,
        help="Where people reach the receiver. Links in notices lie under it.",
    ),
    Setting(
        name="prometheus.url",
        default="",
        read=_url,
        help="Prometheus that answers the conditions of a freeze's end. Without it, conditions are never met.",
    ),
    Setting(
        name="prometheus.token_file",
        default="",
        read=_path,
        help="File with a bearer token for Prometheus, where it wants one.",
    ),
    Setting(
        name="alertmanagers",
        default=(),
        read=_list(_url),
        help="Every Alertmanager of the cluster. They are asked about lost resolves and stale alerts.",
    ),
    Setting(
        name="alertmanager_receiver",
        default="freezeline",
        read=_text,
        help="Name of the Alertmanager receiver whose alerts are ours.",
    ),
    Setting(
        name="alertmanager_settle_s",
        default=180.0,
        read=_seconds(0, 3600),
        help="An Alertmanager that has run for less knows too little: an alert that it lacks may still fire.",
    ),
    Setting(
        name="allowed_hosts",
        default=(),
        read=_list(_text),
        help="Further names (HOST or HOST:PORT) under which requests may address the receiver.",
    ),
    Setting(
        name="channels",
        default={"log": {"type": "log"}, "toast": {"type": "toast"}},
        read=_channels,
        help="Channels by name; docs/notifiers.md lists the types.",
    ),
    Setting(
        name="templates",
        default="",
        read=_path,
        help="Directory of your own notice templates.",
    ),
    Setting(
        name="reconcile_every_s",
        default=15.0,
        read=_seconds(1, 60),
        help="How often journal, Alertmanager and flags on disk are compared.",
    ),
    Setting(
        name="stop_wait_s",
        default=30.0,
        read=_seconds(0, 3600),
        help="How long SIGTERM waits for what runs. A rollback goes on by itself and is taken up at the next start.",
    ),
    Setting(name="log_level", default="INFO", read=_level, help="DEBUG, INFO, WARNING or ERROR."),
    Setting(
        name="journal.exclusive",
        default=True,
        read=_flag,
        help="false: the receiver asks the journal for everything. Slower; for tests, and for a journal that other "
        "programs write too.",
    ),
)


def load_settings(path: Path | None, environment: Mapping[str, str], problems: Problems) -> Settings:
    """Read settings; every mistake goes into `problems`, and then the answer is not to be used."""
    text, raw = _read_yaml(path, problems)
    file = str(path) if path else "environment"
    _note_unknown(raw, text, file, problems)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        found, position = _find(setting, raw, text, file, environment)
        try:
            value = setting.default if found is _ABSENT else setting.read(found)
        except _WrongValueError as error:
            problems.add("settings/value", position, f"{setting.name} {error}", setting.help)
            value = setting.default
        values[setting.name.replace(".", "_")] = value
    values["channels"] = _parse_channels(values["channels"], text, file, problems)
    return Settings(**values)


_ABSENT = object()


def _read_yaml(path: Path | None, problems: Problems) -> tuple[str, Any]:
    if path is None:
        return "", {}
    try:
        data = path.read_bytes()
        text = data[: TEXT_MAX_BYTES + 1].decode("utf-8")
        raw = yaml.safe_load(text)
    except OSError as error:
        problems.add("settings/file", Position(str(path)), f"cannot be read: {error.strerror}")
        return "", {}
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        position = Position(str(path), mark.line + 1, mark.column + 1) if mark else Position(str(path))
        problems.add("settings/yaml", position, f"not YAML: {getattr(error, 'problem', error)}")
        return "", {}
    if raw is None:
        return text, {}
    if not isinstance(raw, dict):
        problems.add("settings/yaml", Position(str(path)), "must be a mapping")
        return text, {}
    return text, raw


def _note_unknown(raw: Mapping[Any, Any], text: str, file: str, problems: Problems) -> None:
    known = {setting.name.partition(".")[0] for setting in SETTINGS}
    nested = {setting.name for setting in SETTINGS if "." in setting.name}
    paths: list[tuple[str, ...]] = [(str(key),) for key in raw]
    for key, value in raw.items():
        if any(name.startswith(f"{key}.") for name in nested) and isinstance(value, dict):
            paths += [(str(key), str(inner)) for inner in value]
    for path in paths:
        name = ".".join(path)
        if name in known or name in nested:
            continue
        near = difflib.get_close_matches(name, sorted(known | nested), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
        problems.add("settings/unknown", locate(text, path, file), f"unknown setting {name}", hint)


def _find(
    setting: Setting, raw: Mapping[str, Any], text: str, file: str, environment: Mapping[str, str]
) -> tuple[Any, Position]:
    if setting.variable in environment:
        return environment[setting.variable], Position(f"${setting.variable}")
    value: Any = raw
    path = setting.name.split(".")
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return _ABSENT, Position(file)
        value = value[key]
    return value, locate(text, path, file)


def _parse_channels(raw: Any, text: str, file: str, problems: Problems) -> Mapping[str, Channel]:
    parsed = parse_channels(raw)
    for problem in parsed.problems:
        position = locate(text, ("channels", *problem.path), file)
        where = ".".join(("channels", *problem.path))
        problems.add("settings/channel", position, f"{where}: {problem.message}", problem.hint)
    return parsed.channels
