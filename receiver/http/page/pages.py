"""The pages that people look at, each as the values of its template. Nothing here waits for Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web
from msgspec import Struct, field

from receiver import report
from receiver.context import Context
from receiver.decide.hosts import Sharing
from receiver.decide.model import LISTED_MAX, Action, ActionType, Incident, Recorded
from receiver.decide.recovery import Lasted, mean_times
from receiver.http.incoming import RefusedError
from receiver.http.page import incidents as past
from receiver.http.page.board import decided_of, lost_of, running_of
from receiver.http.page.facts import Facts
from receiver.http.page.measures import Measures
from receiver.http.page.render import part
from receiver.http.page.reports import Reports
from receiver.http.page.rollout_shown import told
from receiver.http.page.rollouts import cards, earlier
from receiver.http.page.service import Own, page
from receiver.http.page.services import fleet
from receiver.http.page.system import Health, system
from receiver.http.rollout import ended, newest
from receiver.journal import View
from receiver.links import service_page
from receiver.report import Standing
from receiver.rollout_report import RolloutReport

DECISIONS_SHOWN = 40
INCIDENTS_OF_SERVICE = 10
ROLLOUTS_SHOWN = 100
DEEDS = (ActionType.ROLLBACK, ActionType.FREEZE, ActionType.UNFREEZE, ActionType.UNDO)
"""What the page of a service marks in its graphs."""

SAME_S = 5
"""Visitors of the list of services share one rendering for so many seconds, unless something changed."""

CACHED_MAX = 8
ASKED_MAX = 200

Rollbacks = Mapping[str, tuple[Action, datetime]]
Deeds = Mapping[str, list[tuple[str, str, int]]]


class Shown(Struct, frozen=True, kw_only=True):
    """One page: its title, the template of its content, and the content's values. `text` is the finished content."""

    title: str
    template: str
    values: Mapping[str, Any]
    back: str = ""
    text: str = ""
    live: bool = False


Content = Callable[["Pages", web.Request], Awaitable[Shown]]


class Looked(Struct, frozen=True, kw_only=True):
    """What the journal says at one time."""

    standing: Standing
    free_since: Mapping[str, datetime]
    rollbacks: Rollbacks


class Pages(Struct, kw_only=True):
    """What all pages are made from. `alertmanager` is the address for links; "" without one."""

    context: Context
    measures: Measures
    health: Health
    alertmanager: str
    public_url: str
    reports: Reports
    _cached: dict[tuple[object, ...], Shown] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Changes with each change of the journal, and with each new answer of Prometheus."""
        return f"{self.context.journal.head}.{self.measures.version}"

    async def services(self, request: web.Request) -> Shown:
        """Every service, the worst first."""
        search, everything = _asked(request, "q"), request.query.get("all") == "1"
        self.measures.look()
        key = (self.version, int(self.context.clock().timestamp()) // SAME_S, search, everything)
        if key not in self._cached:
            while len(self._cached) >= CACHED_MAX:
                del self._cached[next(iter(self._cached))]
            self._cached[key] = await self._services(search, everything=everything)
        return self._cached[key]

    async def _services(self, search: str, *, everything: bool) -> Shown:
        sharing = self.context.shared()

        def look(view: View) -> tuple[Looked, list[Recorded]]:
            # Of each service, the row shows the oldest reason and the number of episodes.
            return _looked(view, sharing, view.last_rollbacks(), each=1), view.last_decisions(DECISIONS_SHOWN)

        version = self.version
        looked, decisions = await self.context.journal.read(look)
        facts = await self._facts(looked)
        found = fleet(facts, search=search, everything=everything)
        shown = cards(facts.rollouts, facts.host_now.timestamp())
        text = part(
            "services.html",
            root="./",
            fleet=found,
            rollouts=shown,
            lost=len(facts.standing.dead_letters),
            decided=[decided_of(one, facts.now) for one in reversed(decisions)],
            version=version,
        )
        title = f"❄ {found.frozen} frozen – Freezeline" if found.frozen else "Freezeline"
        return Shown(title=title, template="", values={}, text=text, live=any(one.running for one in shown))

    async def _facts(self, looked: Looked) -> Facts:
        return Facts(
            now=self.context.clock(),
            host_now=self.context.host_clock(),
            standing=looked.standing,
            policies=self.context.box.policies,
            measured=self.measures.look(),
            rollouts=await newest(self.context),
            rollbacks=looked.rollbacks,
            free_since=looked.free_since,
            faults={flag: fault.why for flag, fault in self.context.faults.of("freeze").items()},
        )

    async def service(self, request: web.Request) -> Shown:
        """One service."""
        name = _asked(request, "name")
        course, values = self.measures.course(name), self._values_of(name)
        sharing = self.context.shared()

        def look(view: View) -> tuple[Looked, Own]:
            looked = _looked(view, sharing)
            live = [one for one in looked.standing.episodes.values() if one.service == name]
            own = Own(
                course=course,
                seen=view.seen([one.fingerprint for one in live]),
                held={rule: view.condition_held(*rule) for rule in {(one.policy_sha256, one.rule) for one in live}},
                past=view.incidents(service=name, limit=INCIDENTS_OF_SERVICE),
                actions=[one for kind in DEEDS for one in view.actions(service=name, type=kind, limit=20)],
                alertmanager=self.alertmanager,
                values=values,
            )
            return looked, own

        looked, own = await self.context.journal.read(look)
        found = page(name, await self._facts(looked), own)
        if not found.known:
            raise RefusedError(404, "No service has this name.")
        return Shown(
            title=f"{'❄ ' if found.frozen else ''}{name} – Freezeline",
            template="service.html",
            values={"service": found},
            back=service_page(name).removeprefix("page/"),
            live=any(one.running for one in found.rollouts),
        )

    def _values_of(self, service: str) -> Mapping[str, tuple[Decimal, ...]]:
        """What the conditions to unfreeze a service give now, by query, as far as Prometheus has said."""
        policies = self.context.box.policies.of_service(service)
        queries = {one.query for policy in policies for rule in policy.rules for one in rule.unfreeze.all_of}
        found = {query: self.measures.values(query) for query in sorted(queries)}
        return {query: values for query, values in found.items() if values is not None}

    async def incidents(self, request: web.Request) -> Shown:
        """The last incidents: of all services, or of one."""
        name, now = _asked(request, "service"), self.context.clock()

        def look(view: View) -> tuple[list[Incident], Deeds, list[Lasted]]:
            found = view.incidents(service=name or None, limit=past.SHOWN_MAX + 1)
            deeds = view.count_deeds([one.first.id for one in found[: past.SHOWN_MAX]])
            return found, deeds, view.lasted(now - past.MTTR, service=name or None)

        self.measures.look()
        found, deeds, spans = await self.context.journal.read(look)
        history = past.history(found, deeds, mean_times(spans), now=now, spent=self._spent, service=name)
        return Shown(title="Incidents – Freezeline", template="incidents.html", values={"history": history})

    def _spent(self, incident: Incident) -> float | None:
        if incident.ended_at is None:
            return None
        return self.measures.spent(incident.service, incident.opened_at, incident.ended_at)

    async def course(self, request: web.Request) -> past.Course:
        """One incident's course. Raises RefusedError."""
        wanted, now = _asked(request, "id"), self.context.clock()

        def look(view: View) -> past.Known | None:
            found = view.incident_of(wanted)
            if found is None:
                return None
            return past.Known(
                incident=found,
                decisions=view.incident_decisions(wanted, found.opened_at, now, past.EVENTS_MAX),
                episodes=view.incident_episodes(wanted, 50),
                actions=view.incident_actions(wanted, 200),
            )

        self.measures.look()
        known = await self.context.journal.read(look)
        if known is None:
            raise RefusedError(404, "No incident has this number.")
        return past.course(known, now=now, spent=self._spent(known.incident))

    async def incident(self, request: web.Request) -> Shown:
        """One incident."""
        found = await self.course(request)
        title = f"{found.entry.service}: {found.entry.alert} – Freezeline"
        return Shown(title=title, template="incident.html", values={"course": found})

    async def rollouts(self, _request: web.Request) -> Shown:
        """Every service's newest rollout, and those before."""
        now, found = self.context.host_clock(), await newest(self.context)
        shown = cards(found, now.timestamp(), ended_s=None)
        before = earlier(await ended(self.context, ROLLOUTS_SHOWN), found, now)
        return Shown(
            title="Rollouts – Freezeline",
            template="rollouts_page.html",
            values={"rollouts": shown, "earlier": before},
            live=any(one.running for one in shown),
        )

    async def report(self, request: web.Request) -> RolloutReport:
        """The report of one rollout. Raises RefusedError."""
        return await self.reports.of(_asked(request, "service"), _asked(request, "id"))

    async def rollout(self, request: web.Request) -> Shown:
        """The report of one rollout."""
        found = told(await self.report(request), self.context.host_clock())
        title = f"{found.service}: {found.release} – Freezeline"
        return Shown(title=title, template="rollout.html", values={"report": found}, live=found.running)

    async def letters(self, _request: web.Request) -> Shown:
        """Dead letters, and what is running."""
        now = self.context.clock()

        def look(view: View) -> tuple[list[Action], list[Action]]:
            return view.dead_letters(200), view.unfinished_actions(limit=report.UNFINISHED_SHOWN)

        lost, unfinished = await self.context.journal.read(look)
        values = {
            "lost": [lost_of(one, now) for one in lost],
            "running_now": [running_of(one, now) for one in unfinished],
        }
        return Shown(title="Notices – Freezeline", template="letters.html", values=values, back="letters")

    async def system(self, _request: web.Request) -> Shown:
        """The receiver itself."""
        found = await system(self.context, self.health, self.measures.look())
        return Shown(title="System – Freezeline", template="system.html", values={"system": found})


def _looked(
    view: View, sharing: Sharing | None, rollbacks: Rollbacks | None = None, *, each: int = LISTED_MAX
) -> Looked:
    standing = report.look(view, each, sharing=sharing)
    return Looked(standing=standing, free_since=view.free_since(), rollbacks=rollbacks or {})


def _asked(request: web.Request, name: str) -> str:
    """A member of the query, as text that the journal and an answer can hold."""
    return request.query.get(name, "")[:ASKED_MAX].encode("utf-8", "replace").decode()


CONTENTS: Mapping[str, Content] = {
    "/": Pages.services,
    "/page/service": Pages.service,
    "/page/incidents": Pages.incidents,
    "/page/incident": Pages.incident,
    "/page/rollouts": Pages.rollouts,
    "/page/rollout": Pages.rollout,
    "/page/letters": Pages.letters,
    "/page/system": Pages.system,
}
