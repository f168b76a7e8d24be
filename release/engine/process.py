"""The engine as a process: connects a rollout with the outside world that the command line names."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import aiohttp
from msgspec import Struct

from freezeline.problems import Problems, render
from receiver import logs, notify
from receiver.decide.model import new_id
from receiver.decide.notice import Event, Notice, Notifier
from receiver.plaintext import plain
from receiver.policy.guard import UnsafeFileError, check_file
from receiver.rehearsals import FILE, HOST
from receiver.run.run_environment import runner_environment
from receiver.settings import load_settings
from receiver.sources.prometheus import Prometheus
from receiver.templates import Templates
from release.ab.ready import missing
from release.canary.state import State
from release.engine import begin
from release.engine.begin import UnusableError, Wanted
from release.engine.outside import AskAb, Outside
from release.engine.paging import Fallback, Paging
from release.engine.readings import Tracks
from release.engine.receiver import Receiver
from release.policy.canary import Canary
from release.policy.read import ReleasePolicy
from release.store.database import Database
from release.traffic.adapter import Reached, TrafficError, pass_by
from release.traffic.of_policy import of_policy

log = logging.getLogger(__name__)


class Options(Struct, frozen=True, kw_only=True):
    """The values of the command line."""

    wanted: Wanted
    prometheus: str
    headers: Mapping[str, str]
    url: str | None
    token_file: Path | None
    config: Path | None
    fallback: str
    directory: Path


def policy_text(path: Path) -> str:
    """The text of a policy file. Raises UnusableError for a file that cannot be read, or that others may write."""
    try:
        check_file(path)
        return path.read_text("utf-8")
    except (UnsafeFileError, OSError, UnicodeDecodeError) as error:
        raise UnusableError(f"{path}: {error}") from error


async def run(options: Options, *, reached: Reached = pass_by) -> State:
    """Run the wanted rollout to its end. Raises what `begin.run` raises."""
    logs.configure(sys.stderr)
    environment = runner_environment(os.environ)
    async with aiohttp.ClientSession() as http:
        fallback = _fallback(options, http)

        async def outside(
            policy: ReleasePolicy, canary: Canary, tracks: Tracks, database: Database, day_s: float
        ) -> Outside:
            try:
                traffic = of_policy(canary, environment, reached=reached)
            except TrafficError as error:
                raise UnusableError(str(error)) from error
            prometheus = Prometheus(http, options.prometheus, lambda: options.headers)
            return Outside(
                policy=policy,
                canary=canary,
                traffic=traffic,
                prometheus=prometheus,
                receiver=Receiver(http=http, locate=lambda: _locate(options)),
                tracks=tracks,
                environment=os.environ,
                command_environment=environment,
                directory=options.directory,
                rehearsals=options.wanted.state_dir / FILE,
                host=os.environ.get(HOST) or socket.gethostname(),
                clock=time.time,
                ab=_ab_test(canary, tracks, prometheus, database, day_s=day_s),
                paging=Paging(service=policy.policy.service, database=database, clock=time.time, fallback=fallback),
            )

        return await begin.run(
            options.wanted,
            outside,
            clock=time.time,
            new_rollout=lambda: new_id(datetime.now(UTC)),
            command_environment=environment,
            reached=reached,
        )


def _ab_test(
    canary: Canary, tracks: Tracks, prometheus: Prometheus, database: Database, *, day_s: float
) -> AskAb | None:
    """The judge of the rollout's A/B tests, if it has any. Raises UnusableError where the extra is missing."""
    if all(stage.ab is None for stage in canary.stages):
        return None
    if reasons := missing(canary):
        raise UnusableError("; ".join(reasons))
    # Imported for policies with a test alone: the module needs scipy, which an installation may lack.
    asker = import_module("release.engine.ab").AbAsker
    found: AskAb = asker(canary, tracks, prometheus, database, clock=time.time, day_s=day_s)
    return found


def _locate(options: Options) -> tuple[str, str]:
    state = options.wanted.state_dir
    url = options.url or (state / "url").read_text("ascii").strip()
    token = (options.token_file or state / "tokens" / "operate").read_text("ascii").strip()
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not an http:// or https:// address")
    return url.rstrip("/"), token


def _fallback(options: Options, http: aiohttp.ClientSession) -> Fallback | None:
    """The channel that hears pages while the receiver is away."""
    if not options.fallback:
        return None
    problems = Problems()
    settings = load_settings(options.config, os.environ, problems)
    if problems.errors:
        raise UnusableError("\n".join(render(one) for one in problems))
    channel = settings.channels.get(options.fallback)
    if channel is None:
        known = ", ".join(sorted(settings.channels)) or "none"
        raise UnusableError(f"no channel {options.fallback} in receiver.yaml; use one of: {known}")
    notifier = notify.build(
        channel,
        http=http,
        templates=Templates.load(Path(settings.templates) if settings.templates else None),
        publish=_not_published,
        emit=lambda fields: log.error("notice", extra={"notice": dict(fields)}),
        recall=_nothing_recalled,
        now=lambda: datetime.now(UTC),
    )
    return _paging(notifier, options.fallback, settings.public_url)


async def _not_published(notice: Notice) -> None:
    """The event stream is the receiver's, which is away: the log has the notice instead."""
    log.error("notice", extra={"notice": {"title": notice.title, "text": notice.text}})


async def _nothing_recalled(_notice: Notice) -> str:
    """Earlier notices are in the receiver's journal, which is away: each page stands alone."""
    return ""


def _paging(notifier: Notifier, channel: str, url: str) -> Fallback:
    async def page(title: str, text: str, *, repeat: bool) -> None:
        now = datetime.now(UTC)
        name = new_id(now)
        await notifier.send(
            Notice(
                key=f"canary:{name}",
                incident=f"canary:{title}",
                channel=channel,
                service=title.partition(":")[0],
                severity="critical",
                event=Event.CANARY_HELD,
                title=plain(title, 64),
                text=plain(text, 200),
                url=f"{url}/",
                at=now,
                trace_id=name,
                request_id=name,
                repeat=repeat,
            )
        )

    return page
