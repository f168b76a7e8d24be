"""`channels:` of receiver.yaml: what is read, and how everything wrong is reported at once."""

from pathlib import Path

import pytest
import yaml

from receiver.decide.notice import Event
from receiver.notify import NOTIFIERS, parse_channels
from receiver.notify.email import EmailChannel
from receiver.notify.log import LogChannel
from receiver.notify.pagerduty import ENQUEUE_URL, PagerDutyChannel
from receiver.notify.secret import SecretFile
from receiver.notify.slack import SlackChannel
from receiver.notify.toast import ToastChannel
from tests.tools import ROOT

DOCS = ROOT / "docs" / "notifiers"
CONTRACT = """
toast: {type: toast}
log:   {type: log}
slack-payments: {type: slack, url_file: /etc/freezeline/slack-url}
email-oncall:
  {type: email, to: oncall@example.org, smtp: smtp://mail.example.org:587, password_file: /etc/freezeline/smtp}
pagerduty-day0: {type: pagerduty, routing_key_file: /etc/freezeline/pd-day0}
"""


def test_the_documented_example_is_read() -> None:
    """Each type with its defaults."""
    parsed = parse_channels(yaml.safe_load(CONTRACT))
    assert parsed.problems == ()
    assert parsed.channels == {
        "toast": ToastChannel(name="toast", timeout_s=10.0),
        "log": LogChannel(name="log", timeout_s=10.0),
        "slack-payments": SlackChannel(
            name="slack-payments", timeout_s=10.0, url=SecretFile(path=Path("/etc/freezeline/slack-url"))
        ),
        "email-oncall": EmailChannel(
            name="email-oncall",
            timeout_s=10.0,
            to=("oncall@example.org",),
            sender="freezeline@example.org",
            host="mail.example.org",
            port=587,
            tls="starttls",
            user="freezeline@example.org",
            password=SecretFile(path=Path("/etc/freezeline/smtp")),
        ),
        "pagerduty-day0": PagerDutyChannel(
            name="pagerduty-day0",
            timeout_s=10.0,
            url=ENQUEUE_URL,
            routing_key=SecretFile(path=Path("/etc/freezeline/pd-day0")),
        ),
    }


def test_all_problems_come_at_once() -> None:
    """One run shows every mistake with its place; sound channels are still read."""
    raw = yaml.safe_load(
        """
        good: {type: log}
        one: {type: slak}
        two: {type: slack, url_fil: /x}
        three: {type: email, to: nobody, smtp: "mail:25", password_file: relative}
        four: 7
        five: {type: pagerduty, routing_key_file: /x, url: http://example.org, timeout_s: 0}
        six: {}
        """
    )
    parsed = parse_channels(raw)
    assert sorted(parsed.channels) == ["good"]
    assert [(one.path, one.message) for one in parsed.problems] == [
        (("one", "type"), "unknown type slak"),
        (("two", "url_file"), "url_file is missing"),
        (("two", "url_fil"), "unknown key url_fil"),
        (("three", "to"), "to is not an e-mail address: nobody"),
        (("three", "smtp"), "smtp is not a smtp:// or smtps:// URL"),
        (("three", "password_file"), "password_file must be an absolute path"),
        (("four",), "a channel must be a mapping with a type"),
        (("five", "url"), "url must begin with https:// (plain HTTP is allowed only to this machine)"),
        (("five", "timeout_s"), "timeout_s must be above 0 and at most 60"),
        (("six", "type"), "type is missing"),
    ]


def test_a_mistyped_key_gets_a_hint() -> None:
    """The nearest known key is named."""
    problems = parse_channels({"s": {"type": "slack", "url_fil": "/x"}}).problems
    assert problems[-1].hint == "did you mean `url_file`?"


@pytest.mark.parametrize("raw", [None, [], "x", 7])
def test_channels_must_be_a_mapping(raw: object) -> None:
    """Anything else is one problem."""
    assert [one.message for one in parse_channels(raw).problems] == [
        "channels must be a mapping from names to settings"
    ]


@pytest.mark.parametrize(
    "more, tls, port",
    [
        ({"smtp": "smtps://mail.example.org"}, "implicit", 465),
        ({"smtp": "smtp://mail.example.org"}, "starttls", 587),
        ({"smtp": "smtp://mail.example.org", "tls": "none"}, "none", 25),
        ({"smtp": "smtp://127.0.0.1:2525"}, "none", 2525),
    ],
)
def test_email_encryption(more: dict[str, str], tls: str, port: int) -> None:
    """TLS by default, plain text where it is asked for or stays on this machine."""
    parsed = parse_channels({"mail": {"type": "email", "to": "a@example.org", **more}})
    channel = parsed.channels["mail"]
    assert isinstance(channel, EmailChannel)
    assert (channel.tls, channel.port) == (tls, port)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"tls": "none", "password_file": "/x"}, "with tls none, the password would cross the network unencrypted"),
        ({"tls": "maybe"}, "unknown tls maybe"),
        ({"smtp": "smtp://u:p@mail.example.org"}, "smtp holds a password"),
        ({"to": ["a@example.org\nBcc: b@example.org"]}, "to must be text or a list of texts"),
        ({"from": "a@example.org, b@example.org"}, "from is not an e-mail address: a@example.org, b@example.org"),
    ],
)
def test_unsafe_email_settings_are_refused(more: dict[str, object], message: str) -> None:
    """Passwords in the open, passwords in URLs, headers in addresses."""
    settings = {"type": "email", "to": "a@example.org", "smtp": "smtp://mail.example.org", **more}
    assert [one.message for one in parse_channels({"mail": settings}).problems] == [message]


def test_every_notifier_has_its_page_and_no_page_is_left_over() -> None:
    """docs/notifiers/<type>.md for each member of the registry, headed by its name, its example valid."""
    assert {path.stem for path in DOCS.glob("*.md")} == set(NOTIFIERS)


@pytest.mark.parametrize("kind", sorted(NOTIFIERS))
def test_the_page_of_a_notifier_shows_working_settings(kind: str) -> None:
    """The heading is the type; the first YAML block is read without a problem."""
    text = (DOCS / f"{kind}.md").read_text()
    assert text.startswith(f"# {kind}\n")
    block = text.split("```yaml\n")[1].split("```")[0]
    parsed = parse_channels(yaml.safe_load(block)["channels"])
    assert (parsed.problems, {type(one) for one in parsed.channels.values()}) == ((), {NOTIFIERS[kind]})


def test_every_moment_and_every_type_stands_in_the_overview() -> None:
    """docs/notifiers.md has a row for each, and no other."""
    text = DOCS.with_suffix(".md").read_text()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert {row.strip("`") for row in rows if row.startswith("`")} == {event.value for event in Event}
    assert {row[1:].partition("]")[0] for row in rows if row.startswith("[")} == set(NOTIFIERS)
