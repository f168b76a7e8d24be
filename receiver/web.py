"""HTTP: the webhook, health, metrics, the API and the operator's endpoints. Nothing here decides anything.

The receiver answers a webhook with 200 only after the journal's commit. Before a commit is possible, the answer is 503,
because Alertmanager repeats a request after 503. The answer is never 429 or a redirect, after which Alertmanager does
not repeat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from receiver import report
from receiver.context import Context
from receiver.http import canary, operate, page, rehearsed, rollout, stream
from receiver.http.access import QUIET, Access, identified
from receiver.http.broadcast import Broadcast
from receiver.http.health import Health
from receiver.http.incoming import BODY_MAX_BYTES, RefusedError, add_routes, body_of, object_of, problem, seq_of
from receiver.http.tokens import Role
from receiver.journal import JournalError
from receiver.logs import CURRENT
from receiver.report import StandingCollector
from receiver.rollout_report import Reporter, no_report
from receiver.sources.prometheus import Prometheus
from receiver.steps import Step
from receiver.webhook import process
from receiver.webhook.ingest import NotADeliveryError

_JSON = {hdrs.CONTENT_TYPE: "application/json"}

_STREAMS = frozenset({"/api/v1/events", page.CHANGES_PATH})
"""Paths whose answers never end, so their times say nothing about response times."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Web(Struct):
    """What the handlers share. `draining`: the receiver stops. `on_truncated` asks the reconciler to look.

    `source` is the Prometheus that the pages ask; `alertmanager` is the address to which the pages link.
    """

    context: Context
    access: Access
    health: Health
    collector: StandingCollector
    version: str
    public_url: str
    state_dir: Path
    prometheus: str
    source: Prometheus | None
    on_truncated: Callable[[], None]
    draining: bool = False
    alertmanager: str = ""
    proxy: page.Proxy | None = None
    provider: page.Provider | None = None
    reporter: Reporter = no_report


def make_app(shared: Web) -> web.Application:
    """The application, which starts no task of its own."""

    def took(path: str, spent_s: float) -> None:
        if path not in _STREAMS:
            shared.health.took(spent_s)

    measures = page.Measures(shared.source, shared.context.clock)

    async def closing(_app: web.Application) -> None:
        await measures.close()

    app = web.Application(client_max_size=BODY_MAX_BYTES, middlewares=[identified(shared.access, took)])
    handlers = _Handlers(shared)
    routes = [
        web.post("/webhook", handlers.webhook),
        web.get("/health", handlers.health),
        web.get("/health/detailed", handlers.health_detailed),
        web.get("/metrics", handlers.metrics),
        web.get("/api/v1/state", handlers.state),
        web.get("/api/v1/decisions", handlers.decisions),
        web.get("/api/v1/events", handlers.events),
        *(web.post(f"/api/v1/{name}", handlers.operation(name)) for name in operate.OPERATIONS),
        *(web.post(f"/api/v2/canary/{name}", handlers.rollouts(name)) for name in canary.ENDPOINTS),
        web.get("/api/v2/canary/rollback/{rollout}", handlers.canary_rollback),
        *page.routes(
            context=shared.context,
            tokens=shared.access.tokens,
            public_url=shared.public_url,
            health=shared.health,
            measures=measures,
            alertmanager=shared.alertmanager,
            stopping=lambda: shared.draining,
            proxy=shared.proxy,
            provider=shared.provider,
            reporter=shared.reporter,
        ),
    ]
    add_routes(app, routes)
    app.on_cleanup.append(closing)
    return app


class _Handlers:
    def __init__(self, shared: Web) -> None:
        self._shared = shared
        self._context = shared.context
        self._broadcast = Broadcast(shared.context, self._state)

    async def webhook(self, request: web.Request) -> web.Response:
        """Process a delivery: journal, plan, commit, answer."""
        refused = self._shared.access.refuse(request, Role.WEBHOOK)
        if refused is not None:
            self._shared.health.hearing.refuse(self._context.clock())
        try:
            response = refused if refused is not None else await self._process(request)
        except RefusedError as error:
            response = problem(error.status, str(error))
        self._context.meters.webhooks.answers[response.status] += 1
        return response

    async def _process(self, request: web.Request) -> web.Response:
        if self._shared.draining:
            return problem(503, "the receiver is shutting down")
        received_at = self._context.clock()
        body = await body_of(request)
        context = self._context
        context.reached(Step.WEBHOOK_READ)
        policies, trace = context.box.policies, CURRENT.get()
        processing = process.Processing(body, policies, ids=context.ids, trace=trace, at=received_at)
        try:
            writing = context.journal.write(processing.process, prepare=processing.parse)
            del processing  # Thus the writer frees the alerts, which the cache of its core holds.
            taken = await writing
        except NotADeliveryError as error:
            return problem(422, str(error))
        except JournalError as error:
            self._shared.health.journal_failed(str(error))
            return problem(503, "the receiver cannot write its journal")
        context.reached(Step.WEBHOOK_ANSWERING)
        if not taken.decided:
            request[QUIET] = True
        return self._answer(taken, received_at)

    def _answer(self, taken: process.Taken, received_at: datetime) -> web.Response:
        meters = self._context.meters
        meters.webhooks.alerts += taken.alerts
        meters.webhooks.quarantined += taken.quarantined
        self._shared.health.hearing.heard(received_at, watchdog=taken.watchdog)
        if taken.watchdog:
            meters.watchdog.set(received_at.timestamp())
        if taken.truncated:
            self._shared.on_truncated()
        answer = b'{"taken": %d, "quarantined": %d}' % (taken.alerts, taken.quarantined)
        return web.Response(body=answer, headers=_JSON)

    async def health(self, _request: web.Request) -> web.Response:
        """Whether the receiver works. Open to everyone, because probes carry no tokens; shows no secrets."""
        body = await self._shared.health.brief()
        return web.json_response(body, status=503 if body["status"] == "failing" else 200)

    async def health_detailed(self, request: web.Request) -> web.Response:
        """State of every dependency, memory, disk and response times."""
        refused = self._shared.access.refuse(request, Role.READ)
        if refused is not None:
            return refused
        body = await self._shared.health.detailed()
        return web.json_response(body, status=503 if body["status"] == "failing" else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus metrics."""
        refused = self._shared.access.refuse(request, Role.READ)
        if refused is not None:
            return refused
        collector = self._shared.collector
        await self._shared.health.components()
        collector.standing = await self._standing()
        collector.rollouts = await rollout.newest(self._context)
        collector.rehearsals = await rehearsed.newest_of(self._shared.state_dir)
        collector.services = tuple(policy.service for policy in self._context.box.policies.in_force)
        text = generate_latest(self._context.meters.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def state(self, request: web.Request) -> web.Response:
        """What is frozen, open and running."""
        refused = self._shared.access.refuse(request, Role.READ)
        return refused if refused is not None else web.json_response(await self._state())

    async def _standing(self) -> report.Standing:
        sharing = self._context.shared()
        return await self._context.journal.read(lambda view: report.look(view, sharing=sharing))

    async def _state(self) -> dict[str, Any]:
        standing = await self._standing()
        now = self._context.clock()
        found = report.state(
            standing,
            self._context.box.policies,
            now=now,
            version=self._shared.version,
            faults={flag: fault.why for flag, fault in self._context.faults.of("freeze").items()},
            problems=self._shared.health.problems(),
        )
        at = self._context.host_clock().timestamp()
        return {**found, "rollouts": [rollout.shown(one, at) for one in await rollout.newest(self._context)]}

    async def decisions(self, request: web.Request) -> web.Response:
        """Decisions after a given number, at most 1000."""
        refused = self._shared.access.refuse(request, Role.READ)
        if refused is not None:
            return refused
        try:
            after = seq_of(request.query.get("after", "0"))
        except ValueError as error:
            return problem(422, f"`after` is {error}")
        found = await self._context.journal.read(lambda journal: journal.decisions(after=after))
        return web.json_response({"decisions": [report.decision_json(one) for one in found]})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The event stream."""
        refused = self._shared.access.refuse(request, Role.READ)
        if refused is not None:
            return refused
        return await stream.follow(request, self._context, self._broadcast, stopping=lambda: self._shared.draining)

    def operation(self, name: str) -> Handler:
        """A handler for one of the operator's endpoints."""
        return self._asked(Role.OPERATE, lambda raw: operate.OPERATIONS[name](self._context, raw))

    def rollouts(self, name: str) -> Handler:
        """A handler for one of the endpoints of rollouts. A query is answered with 200."""
        handler, role = canary.ENDPOINTS[name]
        api = self._canary_api()
        return self._asked(role, lambda raw: handler(api, raw), status=200 if role is Role.READ else 202)

    async def canary_rollback(self, request: web.Request) -> web.Response:
        """How the rollback of an aborted rollout goes."""
        refused = self._shared.access.refuse(request, Role.READ)
        if refused is not None:
            return refused
        return await self._answered_with(canary.ended(self._canary_api(), request.match_info["rollout"]), 200)

    def _canary_api(self) -> canary.Api:
        shared = self._shared
        return canary.Api(
            context=self._context, state_dir=shared.state_dir, prometheus=shared.prometheus, source=shared.source
        )

    def _asked(
        self, role: Role, do: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]], *, status: int = 202
    ) -> Handler:
        """A handler that reads a JSON object, does something, and answers with JSON."""

        async def handle(request: web.Request) -> web.Response:
            refused = self._shared.access.refuse(request, role)
            if refused is not None:
                return refused
            if self._shared.draining:
                return problem(503, "the receiver is shutting down")
            return await self._answered_with(do(await object_of(request)), status)

        return handle

    async def _answered_with(self, doing: Awaitable[dict[str, Any]], status: int) -> web.Response:
        try:
            answer = await doing
        except JournalError as error:
            self._shared.health.journal_failed(str(error))
            return problem(503, "the receiver cannot write its journal")
        return web.json_response(answer, status=status)
