"""The receiver's own settings: `receiver.yaml`, and an environment variable for each setting.

SETTINGS is the only table: the reader and the hints of errors use this table, and a test compares docs/settings.md with
it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from freezeline.problems import Position, Problems
from receiver import setting_values as kinds
from receiver.leading import LEASE_S
from receiver.notify import Channel, parse_channels
from receiver.policy.positions import locate
from receiver.setting_values import WrongValueError

TEXT_MAX_BYTES = 1024 * 1024


class Setting(Struct, frozen=True, kw_only=True):
    """One setting. `name` is the path in receiver.yaml, with dots; `read` makes the value from YAML.

    `parse` makes YAML's kind of value from the text of an environment variable.
    """

    name: str
    default: Any
    read: Callable[[Any], Any]
    help: str
    parse: Callable[[str], Any] = str

    @property
    def variable(self) -> str:
        """The environment variable that overrides receiver.yaml."""
        return "FREEZELINE_" + self.name.upper().replace(".", "_")


class Settings(Struct, frozen=True, kw_only=True):
    """The value of every setting in SETTINGS. A field's name is the setting's name with underscores for dots."""

    public_url: str
    prometheus_url: str
    prometheus_token_file: str
    prometheus_headers: Mapping[str, str]
    alertmanagers: tuple[str, ...]
    alertmanager_headers: Mapping[str, str]
    alertmanager_receiver: str
    alertmanager_settle_s: float
    deaf_after_s: float
    allowed_hosts: tuple[str, ...]
    channels: Mapping[str, Channel]
    templates: str
    reconcile_every_s: float
    stop_wait_s: float
    log_level: str
    journal_exclusive: bool
    journal_postgres: str
    journal_require_standby: bool
    journal_lease_s: float
    otlp_endpoint: str
    host: str
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret_file: str
    oidc_scope: str
    oidc_name_claim: str
    oidc_operate: tuple[str, ...]
    oidc_read: tuple[str, ...]
    proxy_name_header: str
    proxy_groups_header: str
    proxy_addresses: tuple[str, ...]
    proxy_operate: tuple[str, ...]
    proxy_read: tuple[str, ...]


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="public_url",
        default="http://127.0.0.1:9099",
        read=kinds.url,
        help="The URL under which people open the receiver's page. Links in notices begin with this URL.",
    ),
    Setting(
        name="prometheus.url",
        default="",
        read=kinds.url,
        help="The Prometheus that the receiver queries for the conditions to unfreeze. "
        "If no URL is set, a rule with such conditions never unfreezes by itself.",
    ),
    Setting(
        name="prometheus.token_file",
        default="",
        read=kinds.path,
        help="File with the bearer token, if Prometheus requires a token.",
    ),
    Setting(
        name="prometheus.headers",
        default={},
        read=kinds.headers,
        help="Headers of each request to Prometheus, such as the tenant in `X-Scope-OrgID`. "
        "A value that begins with `@` names the file that holds the value.",
    ),
    Setting(
        name="alertmanagers",
        default=(),
        read=kinds.list_of(kinds.url),
        parse=kinds.parts,
        help="URL of every Alertmanager in the cluster. "
        "The receiver asks them which alerts still fire, in case a webhook was lost or arrived late.",
    ),
    Setting(
        name="alertmanager_headers",
        default={},
        read=kinds.headers,
        help="Headers of each request to an Alertmanager, such as the tenant in `X-Scope-OrgID`. "
        "A value that begins with `@` names the file that holds the value.",
    ),
    Setting(
        name="alertmanager_receiver",
        default="freezeline",
        read=kinds.text,
        help="Name of the receiver in the Alertmanager configuration that sends alerts to Freezeline. "
        "If a webhook was lost, Freezeline acts only on alerts that Alertmanager routes to this receiver.",
    ),
    Setting(
        name="alertmanager_settle_s",
        default=180.0,
        read=kinds.seconds(0, 3600),
        parse=kinds.number,
        help="For this many seconds after an Alertmanager starts, its list of alerts may be incomplete. "
        "Until then, the receiver does not take a missing alert as resolved.",
    ),
    Setting(
        name="deaf_after_s",
        default=300.0,
        read=kinds.seconds(1, 86400),
        parse=kinds.number,
        help="If no webhook arrives within this many seconds after the start although `alertmanagers` names one, the "
        "receiver is deaf: health, status and page say so. The same holds if the watchdog stops for as long.",
    ),
    Setting(
        name="allowed_hosts",
        default=(),
        read=kinds.list_of(kinds.text),
        parse=kinds.parts,
        help="Other host names (HOST or HOST:PORT) that a request to the receiver may carry in its Host header.",
    ),
    Setting(
        name="channels",
        default={"log": {"type": "log"}, "toast": {"type": "toast"}},
        read=kinds.channels,
        parse=kinds.parse_yaml,
        help="The channels for notices, by name. docs/notifiers.md lists the types.",
    ),
    Setting(
        name="templates",
        default="",
        read=kinds.path,
        help="Directory with your own templates for notices.",
    ),
    Setting(
        name="reconcile_every_s",
        default=15.0,
        read=kinds.seconds(1, 60),
        parse=kinds.number,
        help="Every so many seconds the receiver compares journal, Alertmanager and the flags on disk.",
    ),
    Setting(
        name="stop_wait_s",
        default=30.0,
        read=kinds.seconds(0, 3600),
        parse=kinds.number,
        help="How many seconds the receiver waits after SIGTERM for running actions to finish. "
        "A rollback command continues without the receiver, which follows the command again after the next start.",
    ),
    Setting(
        name="log_level",
        default="INFO",
        read=kinds.level,
        help="The lowest level of log records: DEBUG, INFO, WARNING or ERROR.",
    ),
    Setting(
        name="journal.exclusive",
        default=True,
        read=kinds.flag,
        parse=kinds.truth,
        help="false: the receiver asks the journal for everything. Slower; for tests, and for a journal that other "
        "programs write too.",
    ),
    Setting(
        name="journal.postgres",
        default="",
        read=kinds.connection,
        help="The journal is in this PostgreSQL database instead of a file: a connection string of libpq, such as "
        "`host=db1,db2 dbname=freezeline user=freezeline`. Keep the password in `~/.pgpass` or in the environment.",
    ),
    Setting(
        name="journal.require_standby",
        default=True,
        read=kinds.flag,
        parse=kinds.truth,
        help="The receiver answers 200 only when a synchronous standby of the PostgreSQL server has the webhook. "
        "false: the disk of the primary is enough, and a failover may lose what was acknowledged.",
    ),
    Setting(
        name="journal.lease_s",
        default=LEASE_S,
        read=kinds.seconds(3, 600),
        parse=kinds.number,
        help="Of several receivers in one PostgreSQL database, one leads. If the leader gives no sign of life for so "
        "many seconds, another receiver takes over.",
    ),
    Setting(
        name="otlp.endpoint",
        default="",
        read=kinds.url,
        help="A collector of OpenTelemetry that takes OTLP over HTTP, such as `http://127.0.0.1:4318`. The receiver "
        "sends each alert, freeze, rollback and notice as a span. Needs the extra `otlp`.",
    ),
    Setting(
        name="host",
        default="",
        read=kinds.text,
        help="The name of this host among receivers that share a journal, and in flags. If no name is set, the "
        "receiver asks the system.",
    ),
    Setting(
        name="oidc.issuer",
        default="",
        read=kinds.exact_url,
        help="The identity provider with which people log in to the page (OpenID Connect), exactly as the provider "
        "writes its issuer.",
    ),
    Setting(
        name="oidc.client_id",
        default="",
        read=kinds.text,
        help="The name under which the identity provider knows this receiver.",
    ),
    Setting(
        name="oidc.client_secret_file",
        default="",
        read=kinds.path,
        help="File with the client secret. A client without a secret leaves this out.",
    ),
    Setting(
        name="oidc.scope",
        default="openid profile email",
        read=kinds.text,
        help="What the receiver asks the identity provider for.",
    ),
    Setting(
        name="oidc.name_claim",
        default="preferred_username",
        read=kinds.text,
        help="The claim with the name that the page and the journal show. If the claim is missing: a verified `email`, "
        "then `sub`.",
    ),
    Setting(
        name="oidc.operate",
        default=(),
        read=kinds.list_of(kinds.grant),
        parse=kinds.parts,
        help="Who may act: `CLAIM=VALUE` such as `groups=sre`, or `*` for everybody whom the provider knows.",
    ),
    Setting(
        name="oidc.read",
        default=(),
        read=kinds.list_of(kinds.grant),
        parse=kinds.parts,
        help="Who may look, in the same form.",
    ),
    Setting(
        name="proxy.name_header",
        default="",
        read=kinds.header_name,
        help="The header in which a proxy names the person whom the proxy has logged in.",
    ),
    Setting(
        name="proxy.groups_header",
        default="",
        read=kinds.header_name,
        help="The header in which the proxy lists the groups of the person, with commas.",
    ),
    Setting(
        name="proxy.addresses",
        default=(),
        read=kinds.list_of(kinds.network),
        parse=kinds.parts,
        help="Addresses or networks of the proxy. The receiver ignores the headers of all other senders.",
    ),
    Setting(
        name="proxy.operate",
        default=(),
        read=kinds.list_of(kinds.grant),
        parse=kinds.parts,
        help="Who may act: `user=NAME`, `groups=NAME`, or `*` for everybody whom the proxy names.",
    ),
    Setting(
        name="proxy.read",
        default=(),
        read=kinds.list_of(kinds.grant),
        parse=kinds.parts,
        help="Who may look, in the same form.",
    ),
)


OF_POSTGRES = ("journal.require_standby", "journal.lease_s")
"""Settings that mean nothing without a journal in PostgreSQL."""


def load_settings(path: Path | None, environment: Mapping[str, str], problems: Problems) -> Settings:
    """Read the settings. Every mistake goes into `problems`; after a mistake the caller must not use the answer."""
    text, raw = _read_yaml(path, problems)
    file = str(path) if path else "environment"
    _note_unknown(raw, text, file, problems)
    values: dict[str, Any] = {}
    places: dict[str, Position | None] = {}
    for setting in SETTINGS:
        found, position = _find(setting, raw, text, file, environment)
        try:
            value = setting.default if found is _ABSENT else setting.read(found)
        except WrongValueError as error:
            problems.add("settings/value", position, f"{setting.name} {error}", error.hint or setting.help)
            value = setting.default
        values[setting.name.replace(".", "_")] = value
        places[setting.name] = None if found is _ABSENT or found == "" else position
    _note_useless(places, problems)
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
        problems.add("settings/file", Position(str(path)), f"cannot be read: {error.strerror}", "name a readable file")
        return "", {}
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        position = Position(str(path), mark.line + 1, mark.column + 1) if mark else Position(str(path))
        message = f"not YAML: {getattr(error, 'problem', error)}"
        problems.add("settings/yaml", position, message, "correct the file here")
        return "", {}
    if raw is None:
        return text, {}
    if not isinstance(raw, dict):
        problems.add("settings/yaml", Position(str(path)), "must be a mapping", "write `setting: value` lines")
        return text, {}
    return text, raw


def _note_unknown(raw: Mapping[Any, Any], text: str, file: str, problems: Problems) -> None:
    known = {setting.name.partition(".")[0] for setting in SETTINGS}
    nested = [setting.name for setting in SETTINGS if "." in setting.name]
    paths: list[tuple[str, ...]] = [(str(key),) for key in raw]
    for key, value in raw.items():
        inside = [name.partition(".")[2] for name in nested if name.startswith(f"{key}.")]
        if inside and isinstance(value, dict):
            paths += [(str(key), str(inner)) for inner in value]
        elif inside and value is not None:
            hint = f"write `{key}: {{{inside[0]}: …}}`; the keys of {key} are: {', '.join(inside)}"
            problems.add("settings/value", locate(text, (str(key),), file), f"{key} must be a mapping", hint)
    for path in paths:
        name = ".".join(path)
        if name in known or name in nested:
            continue
        near = difflib.get_close_matches(name, sorted(known.union(nested)), n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(sorted(known))}"
        problems.add("settings/unknown", locate(text, path, file), f"unknown setting {name}", hint)


def _note_useless(places: Mapping[str, Position | None], problems: Problems) -> None:
    """Report settings that would do nothing."""
    for name in OF_POSTGRES:
        position = places[name]
        if position is not None and places["journal.postgres"] is None:
            hint = 'write `journal: {postgres: "host=db1 dbname=freezeline"}` too, or leave this setting out'
            problems.add("settings/value", position, f"{name} does nothing without journal.postgres", hint)


def _find(
    setting: Setting, raw: Mapping[str, Any], text: str, file: str, environment: Mapping[str, str]
) -> tuple[Any, Position]:
    if setting.variable in environment:
        return setting.parse(environment[setting.variable]), Position(f"${setting.variable}")
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
