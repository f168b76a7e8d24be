"""One rig a notifier: its stand-in, its settings, and how to read what arrived."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct, field
from msgspec.structs import replace

from receiver.decide.notice import Notice, Notifier
from receiver.notify import NOTIFIERS, build, parse_channels
from receiver.templates import Templates
from tests.fakes.faults import Fault
from tests.fakes.http import (
    ROUTING_KEY,
    SLACK_API_PATH,
    SLACK_CHANNEL,
    SLACK_PATH,
    SLACK_TOKEN,
    HttpFake,
    PagerDutyFake,
    SlackApiFake,
    SlackFake,
    running,
)
from tests.fakes.smtp import PASSWORD, SmtpFake, running_smtp
from tests.unit.receiver.notify.notices import AT

HASTY_S = 0.5
"""Seconds after which a hasty notifier gives up. A machine that stands still takes longer to answer well."""

NTFY_PASSWORD = "FAKEntfyFAKEpassword"
LOCAL = ("log", "toast")
REMOTE = tuple(sorted(NOTIFIERS.keys() - LOCAL))  # a new channel faces every fault unless it is named above


class Rig(Struct, kw_only=True):
    """A notifier against its stand-in. `heads` are the titles that arrived, `texts` all that arrived."""

    kind: str
    notifier: Notifier
    heads: Callable[[], list[str]]
    texts: Callable[[], list[str]]
    fail: Callable[[Fault], None]
    attempts: Callable[[], int]
    secret: str
    secret_file: Path
    published: list[Notice] = field(default_factory=list)
    emitted: list[Mapping[str, str | bool]] = field(default_factory=list)


def hasty(notifier: Notifier, timeout_s: float = HASTY_S) -> Notifier:
    """The same notifier with a short timeout, for a stand-in that hangs."""
    patient: Any = notifier
    impatient: Notifier = replace(patient, channel=replace(patient.channel, timeout_s=timeout_s))
    return impatient


@asynccontextmanager
async def rig(kind: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Start the rig of one member of NOTIFIERS."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield await RIGS[kind](stack, http, tmp_path)


def open_channel(
    settings: dict[str, Any],
    http: aiohttp.ClientSession,
    *,
    templates: Templates | None = None,
    published: list[Notice] | None = None,
    emitted: list[Mapping[str, str | bool]] | None = None,
    threads: dict[str, str] | None = None,
) -> Notifier:
    """Build a notifier from settings as receiver.yaml has them. `threads` are known threads by incident."""
    parsed = parse_channels({"channel": settings})
    assert parsed.problems == ()

    async def publish(notice: Notice) -> None:
        (published if published is not None else []).append(notice)

    async def recall(notice: Notice) -> str:
        return (threads or {}).get(notice.incident, "")

    return build(
        parsed.channels["channel"],
        http=http,
        templates=templates or Templates.load(),
        publish=publish,
        emit=(emitted if emitted is not None else []).append,
        recall=recall,
        now=lambda: AT,
    )


async def _slack(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> Rig:
    fake = SlackFake()
    await stack.enter_async_context(running(fake, SLACK_PATH))
    secret = tmp_path / "slack-url"
    secret.write_text(f"{fake.url}\n")
    settings = {"type": "slack", "url_file": str(secret)}
    return Rig(
        kind="slack",
        notifier=open_channel(settings, http),
        heads=lambda: [one["blocks"][0]["text"]["text"] for one in fake.received],
        texts=lambda: [
            text for one in fake.received for text in (one["text"], *(b["text"]["text"] for b in one["blocks"]))
        ],
        fail=fake.faults.append,
        attempts=lambda: fake.attempts,
        secret=SLACK_PATH.rpartition("/")[2],
        secret_file=secret,
    )


async def _slack_bot(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> Rig:
    fake = SlackApiFake()
    await stack.enter_async_context(running(fake, SLACK_API_PATH))
    secret = tmp_path / "slack-token"
    secret.write_text(SLACK_TOKEN)
    settings = {
        "type": "slack-bot",
        "token_file": str(secret),
        "channel": SLACK_CHANNEL,
        "api": fake.url.rpartition("/")[0],
    }
    return Rig(
        kind="slack-bot",
        notifier=open_channel(settings, http),
        heads=lambda: [one["blocks"][0]["text"]["text"] for one in fake.received],
        texts=lambda: [
            text for one in fake.received for text in (one["text"], *(b["text"]["text"] for b in one["blocks"][:2]))
        ],
        fail=fake.faults.append,
        attempts=lambda: fake.attempts,
        secret=SLACK_TOKEN,
        secret_file=secret,
    )


async def _pagerduty(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> Rig:
    fake = PagerDutyFake()
    await stack.enter_async_context(running(fake, "/v2/enqueue"))
    secret = tmp_path / "routing-key"
    secret.write_text(ROUTING_KEY)
    settings = {
        "type": "pagerduty",
        "routing_key_file": str(secret),
        "url": fake.url,
    }
    return Rig(
        kind="pagerduty",
        notifier=open_channel(settings, http),
        heads=lambda: [one["payload"]["summary"] for one in fake.received],
        texts=lambda: [
            text
            for one in fake.received
            for text in (one["payload"]["summary"], *one["payload"]["custom_details"].values())
        ],
        fail=fake.faults.append,
        attempts=lambda: fake.attempts,
        secret=ROUTING_KEY,
        secret_file=secret,
    )


async def _apprise(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> Rig:
    fake = HttpFake()
    await stack.enter_async_context(running(fake, "/"))
    secret = tmp_path / "apprise-url"
    secret.write_text(f"ntfy://user:{NTFY_PASSWORD}@127.0.0.1:{urlsplit(fake.url).port}/topic")
    return Rig(
        kind="apprise",
        notifier=open_channel({"type": "apprise", "url_file": str(secret)}, http),
        heads=lambda: [one["title"] for one in fake.received],
        texts=lambda: [text for one in fake.received for text in (one["title"], *one["message"].splitlines())],
        fail=fake.faults.append,
        attempts=lambda: fake.attempts,
        secret=NTFY_PASSWORD,
        secret_file=secret,
    )


async def _email(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> Rig:
    fake = SmtpFake()
    await stack.enter_async_context(running_smtp(fake))
    secret = tmp_path / "smtp-password"
    secret.write_text(PASSWORD)
    settings = {
        "type": "email",
        "to": "oncall@example.org",
        "smtp": f"smtp://freezeline@127.0.0.1:{fake.port}",
        "password_file": str(secret),
    }
    return Rig(
        kind="email",
        notifier=open_channel(settings, http),
        heads=lambda: [one["Subject"] for one in fake.received],
        texts=lambda: [
            text for one in fake.received for text in (one["Subject"], one.get_content().replace("\r\n", "\n"))
        ],
        fail=fake.faults.append,
        attempts=lambda: fake.attempts,
        secret=PASSWORD,
        secret_file=secret,
    )


async def _log(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> Rig:
    emitted: list[Mapping[str, str | bool]] = []
    return _local("log", open_channel({"type": "log"}, http, emitted=emitted), tmp_path, emitted=emitted, published=[])


async def _toast(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> Rig:
    published: list[Notice] = []
    return _local(
        "toast",
        open_channel({"type": "toast"}, http, published=published),
        tmp_path,
        emitted=[],
        published=published,
    )


def _local(
    kind: str,
    notifier: Notifier,
    tmp_path: Path,
    *,
    emitted: list[Mapping[str, str | bool]],
    published: list[Notice],
) -> Rig:
    def no_fault(fault: Fault) -> None:
        raise AssertionError(f"{kind} has no other side that could fail with {fault}")

    return Rig(
        kind=kind,
        notifier=notifier,
        heads=lambda: [
            *(f"(repeat) {one['title']}" if one["repeat"] else str(one["title"]) for one in emitted),
            *(one.title for one in published),
        ],
        texts=lambda: [
            *(str(value) for one in emitted for value in one.values()),
            *(text for one in published for text in (one.title, one.text)),
        ],
        fail=no_fault,
        attempts=lambda: len(emitted) + len(published),
        secret="",
        secret_file=tmp_path / "none",
        emitted=emitted,
        published=published,
    )


RIGS = {
    "apprise": _apprise,
    "email": _email,
    "log": _log,
    "pagerduty": _pagerduty,
    "slack": _slack,
    "slack-bot": _slack_bot,
    "toast": _toast,
}
assert RIGS.keys() == NOTIFIERS.keys()
