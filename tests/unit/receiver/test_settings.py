"""Settings: file, environment, every problem at once; the docs list exactly what SETTINGS has."""

import re
from pathlib import Path

import pytest

from freezeline.problems import Problems
from receiver.settings import SETTINGS, load_settings
from tests.tools import ROOT


def problems_of(text: str, tmp_path: Path, **environment: str) -> list[tuple[str, str, str]]:
    """Code, place and message of every problem."""
    path = tmp_path / "receiver.yaml"
    path.write_text(text)
    problems = Problems()
    load_settings(path, environment, problems)
    return [(one.code, str(one.position).removeprefix(f"{path}:"), one.message) for one in problems]


def test_without_a_file_every_setting_has_its_default() -> None:
    """The receiver runs with nothing configured: log and toast."""
    problems = Problems()
    settings = load_settings(None, {}, problems)
    assert list(problems) == []
    assert settings.public_url == "http://127.0.0.1:9099"
    assert sorted(settings.channels) == ["log", "toast"]


def test_the_file_of_the_contract_is_read(tmp_path: Path) -> None:
    """Every key that the contract shows."""
    path = tmp_path / "receiver.yaml"
    path.write_text(
        """
public_url: http://127.0.0.1:9099
prometheus: {url: http://127.0.0.1:9090}
alertmanagers: [http://127.0.0.1:9093]
channels:
  toast: {type: toast}
  log:   {type: log}
  slack-payments: {type: slack, url_file: /etc/freezeline/slack-url}
  email-oncall:   {type: email, to: oncall@example.org, smtp: smtp://mail.example.org:587, password_file: /etc/smtp}
  pagerduty-day0: {type: pagerduty, routing_key_file: /etc/freezeline/pd-day0}
"""
    )
    problems = Problems()
    settings = load_settings(path, {}, problems)
    assert [problem.message for problem in problems] == []
    assert (settings.prometheus_url, settings.alertmanagers) == ("http://127.0.0.1:9090", ("http://127.0.0.1:9093",))
    assert sorted(settings.channels) == ["email-oncall", "log", "pagerduty-day0", "slack-payments", "toast"]


def test_the_environment_wins() -> None:
    """Each setting has a variable."""
    problems = Problems()
    environment = {
        "FREEZELINE_PROMETHEUS_URL": "http://prom:9090/",
        "FREEZELINE_ALERTMANAGERS": "http://a:9093, http://b:9093",
        "FREEZELINE_STOP_WAIT_S": "5",
        "FREEZELINE_CHANNELS": '{"log": {"type": "log"}}',
    }
    settings = load_settings(None, environment, problems)
    assert settings.prometheus_url == "http://prom:9090"
    assert settings.alertmanagers == ("http://a:9093", "http://b:9093")
    assert settings.stop_wait_s == 5.0
    assert list(settings.channels) == ["log"]


def test_every_problem_is_found_in_one_run(tmp_path: Path) -> None:
    """Unknown keys, wrong values and bad channels, each at its place."""
    text = """public_url: ftp://x
prometheus: {ulr: http://p}
alertmanager: []
stop_wait_s: soon
channels: {pager: {type: fax}}
"""
    assert problems_of(text, tmp_path) == [
        ("settings/value", "1:13", "public_url must be http://HOST… or https://HOST… without a user name"),
        ("settings/unknown", "2:19", "unknown setting prometheus.ulr"),
        ("settings/unknown", "3:15", "unknown setting alertmanager"),
        ("settings/value", "4:14", "stop_wait_s must be a number of seconds"),
        ("settings/channel", "5:26", "channels.pager.type: unknown type fax"),
    ]


@pytest.mark.parametrize(
    "text,place,message",
    [
        ("prometheus: http://p:9090", "1:13", "prometheus must be a mapping"),
        ("journal: true", "1:10", "journal must be a mapping"),
        ("alertmanagers: http://a:9093", "1:16", "alertmanagers must be a list"),
        ("alertmanagers: {url: http://a:9093}", "1:16", "alertmanagers must be a list"),
        ("alertmanagers: [9093]", "1:16", "alertmanagers must be one line of text"),
        ("allowed_hosts: proxy.example.org", "1:16", "allowed_hosts must be a list"),
        ("channels: log", "1:11", "channels must be a mapping"),
        ("channels: [log]", "1:11", "channels must be a mapping"),
        ('stop_wait_s: "30"', "1:14", "stop_wait_s must be a number of seconds"),
        ("stop_wait_s: true", "1:14", "stop_wait_s must be a number of seconds"),
        ("stop_wait_s: .nan", "1:14", "stop_wait_s must be between 0 and 3600"),
        ('journal: {exclusive: "false"}', "1:22", "journal.exclusive must be true or false"),
        ("public_url: [http://x]", "1:13", "public_url must be one line of text"),
        ("log_level: [INFO]", "1:12", "log_level must be DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_at_its_place(text: str, place: str, message: str, tmp_path: Path) -> None:
    """Also where the value would mean something as the text of a variable."""
    ((_, found, said),) = problems_of(text, tmp_path)
    assert (found, said) == (place, message)


@pytest.mark.parametrize("text,message", [("a: [", "not YAML"), ("- 1", "must be a mapping")])
def test_a_file_that_is_no_mapping_is_one_problem(text: str, message: str, tmp_path: Path) -> None:
    """With its place."""
    ((code, _, found),) = problems_of(text, tmp_path)
    assert code == "settings/yaml"
    assert found.startswith(message)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    """The problem's place is the variable."""
    assert problems_of("", tmp_path, FREEZELINE_LOG_LEVEL="LOUD") == [
        ("settings/value", "$FREEZELINE_LOG_LEVEL:1:1", "log_level must be DEBUG, INFO, WARNING or ERROR")
    ]


def test_the_docs_list_every_setting_with_its_variable_default_and_help() -> None:
    """docs/settings.md is checked row by row against SETTINGS."""
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| `(FREEZELINE_[A-Z_]+)` \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    shown = [(setting.name, setting.variable, default(setting.default), setting.help) for setting in SETTINGS]
    assert rows == shown


def default(value: object) -> str:
    """A default as the docs write it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict) and value:
        return f"`{', '.join(value)}`"
    if not value:
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_headers_of_file_and_variable(tmp_path: Path) -> None:
    """A mapping in receiver.yaml, lines in a variable."""
    path = tmp_path / "receiver.yaml"
    path.write_text("prometheus: {headers: {X-Scope-OrgID: team-a, Authorization: '@/run/secret'}}\n")
    problems = Problems()
    settings = load_settings(path, {"FREEZELINE_ALERTMANAGER_HEADERS": "X-Scope-OrgID: b\nA: @/c\n"}, problems)
    assert list(problems) == []
    assert settings.prometheus_headers == {"X-Scope-OrgID": "team-a", "Authorization": "@/run/secret"}
    assert settings.alertmanager_headers == {"X-Scope-OrgID": "b", "A": "@/c"}


@pytest.mark.parametrize(
    "written,message",
    [
        ("[a]", "must be a mapping of headers"),
        ("{'a b': c}", "has a header without a valid name: 'a b'"),
        ("{1: c}", "has a header without a valid name: '1'"),
        ("{A: 1}", "A must be one line of ASCII text"),
        ('{A: "b\\nC: d"}', "A must be one line of ASCII text"),
        ("{A: '@b'}", "A must name its file with an absolute path"),
    ],
)
def test_wrong_headers(written: str, message: str, tmp_path: Path) -> None:
    """Each is a problem at its place, and no problem shows a value."""
    ((code, place, found),) = problems_of(f"alertmanager_headers: {written}\n", tmp_path)
    assert (code, place, found) == ("settings/value", "1:23", f"alertmanager_headers {message}")


@pytest.mark.parametrize(
    "journal,place,said,hint",
    [
        ('postgres: "hots=db1 dbname=j"', "1:21", 'invalid connection option "hots"', "such as"),
        ("postgres: db1", "1:21", 'missing "=" after "db1"', "such as"),
        ('postgres: "host=a,b,c port=1,2"', "1:21", "names 3 hosts and 2 ports", "one port for all hosts"),
        ('postgres: "host=a password=b"', "1:21", "holds a password", "~/.pgpass"),
        ('postgres: "postgresql://me:secret@db1/j"', "1:21", "holds a password", "PGPASSWORD"),
        ('postgre: "host=a"', "1:20", "unknown setting journal.postgre", "did you mean journal.postgres?"),
        ("require_standby: true", "1:28", "does nothing without journal.postgres", "leave this setting out"),
        ("lease_s: 20", "1:20", "does nothing without journal.postgres", "leave this setting out"),
        ("lease_s: 2, postgres: 'host=a'", "1:20", "between 3 and 600", "from 3 to 600"),
    ],
)
def test_a_journal_in_postgres_is_named_well(journal: str, place: str, said: str, hint: str, tmp_path: Path) -> None:
    """A mistake in the connection has a place and a hint; so has a setting that would do nothing."""
    path = tmp_path / "receiver.yaml"
    path.write_text(f"journal: {{{journal}}}\n")
    problems = Problems()
    load_settings(path, {}, problems)
    (found,) = problems
    assert (str(found.position).removeprefix(f"{path}:"), said in found.message, hint in found.hint) == (
        place,
        True,
        True,
    ), found


@pytest.mark.parametrize(
    "dsn",
    [
        "host=db1,db2 dbname=freezeline user=freezeline",
        "host=db1,db2 port=5432 dbname=freezeline",
        "postgresql://freezeline@db1:5432,db2:5433/freezeline?connect_timeout=5",
        "service=freezeline",
    ],
)
def test_connections_of_libpq_are_taken(dsn: str) -> None:
    """Whatever libpq takes, also from the environment."""
    problems = Problems()
    assert load_settings(None, {"FREEZELINE_JOURNAL_POSTGRES": dsn}, problems).journal_postgres == dsn
    assert list(problems) == []
