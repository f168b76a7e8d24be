"""The receiver as a process: connects its parts, runs until SIGTERM, and lets running actions finish."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

import aiohttp
from aiohttp import web
from msgspec import Struct
from prometheus_client import disable_created_metrics

from freezeline import extras
from freezeline.problems import Problems, render
from receiver import logs, notify, placing
from receiver.act import found
from receiver.act.notices import Deliverer, recaller
from receiver.context import Context
from receiver.decide.model import Decision
from receiver.http import connections
from receiver.http.access import Access, allowed_hosts
from receiver.http.health import Health
from receiver.http.hearing import Hearing
from receiver.http.tokens import TokenError, ensure_tokens
from receiver.journal import GROUP_MAX, Journal, JournalError
from receiver.logins import LoginSettingsError, provider_of, proxy_of
from receiver.loops.backlog import Backlog
from receiver.loops.conditions import Conditions
from receiver.loops.deeds import Deeds
from receiver.loops.escalator import Escalator
from receiver.loops.follow import Follower
from receiver.loops.heartbeat import Heartbeat
from receiver.loops.lead import Lead
from receiver.loops.policies import REFUSED, adopt, last_good, reload_policies, told
from receiver.loops.publish import publisher
from receiver.loops.reconcile import Reconciler
from receiver.loops.retention import Retention
from receiver.loops.rollouts import RolloutWatch
from receiver.loops.traces import Traces
from receiver.loops.worker import Worker
from receiver.placing import StartError
from receiver.policy.directory import Loaded, read_directory
from receiver.report import StandingCollector
from receiver.rollout_report import Reporter, no_report
from receiver.settings import Settings, load_settings
from receiver.sources.alertmanager import Alertmanager
from receiver.sources.asking import QUICK, from_files
from receiver.sources.prometheus import Prometheus
from receiver.state import StateInUseError, locked
from receiver.steps import Reached, pass_by
from receiver.templates import Templates
from receiver.web import Web, make_app

log = logging.getLogger(__name__)

GARBAGE_EVERY = 10_000
"""Python looks for cycles after this many new objects. Python's own default is 700."""

OK, PROBLEMS, USAGE, ENVIRONMENT = 0, 1, 2, 3


class Options(Struct, frozen=True, kw_only=True):
    """The values of the command line. Without a `config`, settings come from variables and defaults."""

    policy_dir: Path
    state_dir: Path
    config: Path | None
    host: str
    port: int


def serve(
    options: Options,
    environment: Mapping[str, str],
    *,
    reporter: Reporter = no_report,
    reached: Reached = pass_by,
    group_max: int = GROUP_MAX,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Run the receiver until SIGTERM or SIGINT; returns the exit code.

    `reporter` makes the reports of rollouts. `reached` is for tests. `group_max`, the most deliveries in one commit, is
    for measurements. `clock` is the clock of this machine.
    """
    problems = Problems()
    settings = load_settings(options.config, environment, problems)
    if problems.errors:
        print_problems(problems)
        return PROBLEMS
    loaded = read_directory(options.policy_dir, channels=settings.channels, problems=problems)
    if problems.errors:
        print_problems(problems)
        loaded = last_good(
            options.state_dir / "journal.db", postgres=settings.journal_postgres, channels=settings.channels
        )
        if not loaded.policies:
            return PROBLEMS
        sys.stderr.write("freezeline serve: the policies have problems; the last good ones are in force\n")
    logs.configure(sys.stderr, level=settings.log_level)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    try:
        with locked(options.state_dir):
            receiver = _Receiver(options, settings, reporter, reached, group_max, clock=clock)
            asyncio.run(receiver.run(loaded, sound=not problems.errors))
    except StateInUseError as error:
        sys.stderr.write(f"freezeline serve: {error}. Name a directory of its own with --state\n")
        return ENVIRONMENT
    except (StartError, JournalError, TokenError, OSError) as error:
        sys.stderr.write(f"freezeline serve: {error}\n")
        return ENVIRONMENT
    return OK


def _watchdog_seen(context: Context, hearing: Hearing, at: datetime) -> None:
    """Receivers that share a journal share what they hear."""
    if context.leading.several:
        hearing.heard_by_another(at)
        context.meters.watchdog.set(at.timestamp())


def print_problems(problems: Problems) -> None:
    """Show problems as every command does."""
    for problem in problems:
        sys.stderr.write(render(problem) + "\n")


class _Receiver:
    def __init__(
        self,
        options: Options,
        settings: Settings,
        reporter: Reporter,
        reached: Reached,
        group_max: int,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._options = options
        self._settings = settings
        self._reporter = reporter
        self._reached = reached
        self._group_max = group_max
        self._clock = clock
        self._stop = asyncio.Event()
        self._lost = ""

    def _lost_lead(self, why: str) -> None:
        """End: whoever supervises the process starts it again, and it then stands by."""
        self._lost = why
        self._stop.set()

    async def run(self, loaded: Loaded, *, sound: bool) -> None:
        """From start to stop. `sound` says that the loaded policies are the policies on disk.

        Raises StartError, JournalError, TokenError or OSError if the receiver cannot start.
        """
        async with contextlib.AsyncExitStack() as stack:
            context = await self._open_journal(stack)
            await adopt(context, loaded, channels=self._settings.channels)
            told(context, "" if sound else REFUSED)
            follower = Follower(context)
            if context.leading.several:
                await follower.compare()
            else:
                await found.take_up_all(context)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            await self._send_traces(context, stack)
            worker = Worker(context, self._deliverer(context, http))
            reconciler = self._reconciler(context, http, worker)

            def check_flag(flag: str) -> None:
                (worker if context.leading.holds() else follower).check_flag(flag)

            hearing = self._hearing(context)
            watchdog_seen = partial(_watchdog_seen, context, hearing)
            heartbeat = Heartbeat(context, check_flag=check_flag, watchdog_seen=watchdog_seen)
            shared = self._web(context, http, reconciler, heartbeat, hearing)
            url = await self._listen(stack, shared)
            watch = RolloutWatch(context)
            deeds = Deeds(context, worker, (Backlog(context), reconciler, Retention(context), Escalator(context)))
            lead = Lead(context, take_over=deeds.take_over, lost=self._lost_lead)
            self._on_signals(context)
            context.journal.on_broken(self._stop.set)
            await heartbeat.beat()
            if context.leading.several:
                follower.start()
                lead.start()
            else:
                await deeds.start()
            heartbeat.start()
            watch.start()
            _look_for_garbage_seldom()
            await self._announce(context, url)
            await self._stop.wait()
            shared.draining = True
            log.info("stopping", extra={"action": "stop", "lanes": worker.busy})
            await watch.stop()
            await deeds.stop(wait_s=0 if self._lost else self._settings.stop_wait_s)
            await lead.stop()
            await follower.stop()
            await heartbeat.stop()
            if self._lost:
                raise StartError(self._lost)
            if context.journal.broken:
                # Nothing more can be stored. Whoever supervises the process starts the receiver again.
                raise JournalError(context.journal.broken)

    async def _open_journal(self, stack: contextlib.AsyncExitStack) -> Context:
        state, settings = self._options.state_dir, self._settings
        store = placing.journal_store(state, settings)
        journal = Journal(store, clock=self._clock, reached=self._reached, group_max=self._group_max)
        journal.start()
        stack.push_async_callback(journal.close)
        return placing.context(state, settings, journal, clock=self._clock, reached=self._reached)

    async def _send_traces(self, context: Context, stack: contextlib.AsyncExitStack) -> None:
        """Send spans to a collector, if the settings name one. Raises StartError if the extra is not installed."""
        if not self._settings.otlp_endpoint:
            return
        try:
            from receiver.otlp import Exporter  # noqa: PLC0415 - needs the extra `otlp`
        except ImportError as error:
            raise StartError(f"`otlp.endpoint` needs OpenTelemetry: {extras.install('otlp')}") from error
        exporter = Exporter(self._settings.otlp_endpoint, version=version("freezeline"), host=context.host)
        stack.push_async_callback(asyncio.to_thread, exporter.close)
        traces = Traces(context, exporter.send)
        await traces.start()
        stack.push_async_callback(traces.stop)

    def _deliverer(self, context: Context, http: aiohttp.ClientSession) -> Deliverer:
        user = Path(self._settings.templates) if self._settings.templates else None
        try:
            templates = Templates.load(user)
        except FileNotFoundError as error:
            raise StartError(str(error)) from error
        for problem in templates.problems:
            log.warning("template.problem", extra={"problem": str(problem)})
        notifiers = {
            name: notify.build(
                channel,
                http=http,
                templates=templates,
                publish=publisher(context.journal),
                emit=lambda fields: log.info("notice", extra={"notice": dict(fields)}),
                recall=recaller(context),
                now=context.clock,
            )
            for name, channel in self._settings.channels.items()
        }
        spare = [name for name, channel in self._settings.channels.items() if isinstance(channel, notify.LOCAL)]
        return Deliverer(context, notifiers, public_url=self._settings.public_url, spare=spare)

    def _reconciler(self, context: Context, http: aiohttp.ClientSession, worker: Worker) -> Reconciler:
        settings = self._settings
        sent = from_files(settings.prometheus_headers, settings.prometheus_token_file)
        self._prometheus = Prometheus(http, settings.prometheus_url, sent, limits=QUICK)
        self._alertmanagers = [
            Alertmanager(
                http,
                url,
                receiver=settings.alertmanager_receiver,
                settle_s=settings.alertmanager_settle_s,
                headers=from_files(settings.alertmanager_headers),
            )
            for url in settings.alertmanagers
        ]
        return Reconciler(
            context,
            conditions=Conditions(self._prometheus if settings.prometheus_url else None),
            alertmanagers=self._alertmanagers,
            every_s=settings.reconcile_every_s,
            check_flag=worker.check_flag,
        )

    def _hearing(self, context: Context) -> Hearing:
        return Hearing(
            started_at=context.clock(),
            expected=bool(self._settings.alertmanagers),
            deaf_after=timedelta(seconds=self._settings.deaf_after_s),
        )

    def _web(
        self,
        context: Context,
        http: aiohttp.ClientSession,
        reconciler: Reconciler,
        heartbeat: Heartbeat,
        hearing: Hearing,
    ) -> Web:
        collector = StandingCollector()
        context.meters.registry.register(collector)
        health = Health(
            context,
            version=version("freezeline"),
            state_dir=self._options.state_dir,
            probe=heartbeat.beat_if_older,
            hearing=hearing,
        )
        if self._settings.prometheus_url:
            health.checks["prometheus"] = self._prometheus.check
        for alertmanager in self._alertmanagers:
            health.checks[f"alertmanager {alertmanager.url}"] = alertmanager.check
        access = Access(
            tokens=ensure_tokens(self._options.state_dir / "tokens"),
            hosts=allowed_hosts(self._settings.public_url, self._options.host, self._settings.allowed_hosts),
        )
        try:
            proxy = proxy_of(self._settings)
            provider = provider_of(self._settings, http, context.clock)
        except LoginSettingsError as error:
            raise StartError(str(error)) from error
        return Web(
            context=context,
            access=access,
            health=health,
            collector=collector,
            version=version("freezeline"),
            public_url=self._settings.public_url,
            state_dir=self._options.state_dir,
            prometheus=self._settings.prometheus_url,
            source=self._prometheus if self._settings.prometheus_url else None,
            on_truncated=reconciler.compare_soon,
            alertmanager=next(iter(self._settings.alertmanagers), ""),
            proxy=proxy,
            provider=provider,
            reporter=self._reporter,
        )

    async def _listen(self, stack: contextlib.AsyncExitStack, shared: Web) -> str:
        runner = web.AppRunner(
            make_app(shared),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=2.0,
            keepalive_timeout=connections.KEEP_ALIVE_S,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        if runner.server is None:
            raise StartError("the HTTP server did not start")
        gate = connections.Gate(
            runner.server, most=connections.connections_max(), header_limit_s=connections.HEADER_LIMIT_S
        )
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            gate, self._options.host, self._options.port, backlog=connections.ACCEPTED_AT_ONCE
        )
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"http://{host}:{port}"

    def _on_signals(self, context: Context) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        reloads: set[asyncio.Task[None]] = set()

        def reload() -> None:
            work = reload_policies(context, self._options.policy_dir, channels=self._settings.channels)
            task = asyncio.create_task(work, name="reload")
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, reload)

    async def _announce(self, context: Context, url: str) -> None:
        """Announce that requests are answered: in the journal, in `<state>/url` for the command line, and on stderr."""
        sentence = f"The receiver started: {url}"
        await context.journal.write(lambda tx: tx.note(Decision(kind="started", sentence=sentence)))
        path = self._options.state_dir / "url"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(url + "\n", encoding="ascii")
        temporary.rename(path)
        sys.stderr.write(f"listening on {url}\n")
        sys.stderr.flush()


def _look_for_garbage_seldom() -> None:
    """Exempt the start's objects from the search for cycles, which took 4 to 12 % of the webhook rate (three pairs)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY)
