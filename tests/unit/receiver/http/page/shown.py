"""Facts for the pages, and pages as HTML, as unit tests need them."""

from datetime import datetime
from typing import Any

from receiver.decide.model import Action, ActionType
from receiver.http.page import session
from receiver.http.page.facts import Facts
from receiver.http.page.measures import Measured
from receiver.http.page.render import part
from receiver.http.page.service import Own, Page, page
from receiver.http.page.services import Fleet, fleet
from receiver.http.tokens import Role
from receiver.report import Standing
from tests.unit.receiver.builders import NOW, episode, freeze_reason, policies, policy

FLAG = "/var/lib/freezeline/gateway/FREEZE.FLAG"
HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"
SAFE = "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;{{7*7}}"
UNASKED = Measured(asked=False)


def standing(**changes: Any) -> Standing:
    """One frozen service with one episode."""
    values: dict[str, Any] = {
        "seq": 7,
        "live": (episode(),),
        "counts": (("gateway", "critical", 1),),
        "freeze_reasons": (freeze_reason(written_at=NOW),),
        "held": {FLAG: 1},
        "episodes": {"E1": episode()},
        "actions": (),
        "unfinished": (),
        "recent": (),
        "dead_letters": (),
        "flags": {FLAG: "gateway"},
    }
    return Standing(**{**values, **changes})


def facts(looked: Standing | None = None, *, now: datetime = NOW, **changes: Any) -> Facts:
    """What is known, of gateway and of checkout, which is free."""
    second = policy(name="other", service="checkout")
    values: dict[str, Any] = {
        "now": now,
        "host_now": now,
        "standing": looked or standing(),
        "policies": policies(policy(), second),
        "measured": UNASKED,
    }
    return Facts(**{**values, **changes})


def own(**changes: Any) -> Own:
    """What is known of gateway alone."""
    values: dict[str, Any] = {"course": None, "seen": {}, "held": {}, "past": (), "actions": ()}
    return Own(**{**values, **changes})


def action(**changes: Any) -> Action:
    """One action."""
    values: dict[str, Any] = {
        "id": "A1",
        "key": "k",
        "episode": "E1",
        "service": "gateway",
        "type": ActionType.ROLLBACK,
        "name": "rollback",
        "created_at": NOW,
    }
    return Action(**{**values, **changes})


def rendered(template: str, role: Role = Role.OPERATE, **values: Any) -> str:
    """A page's content as HTML."""
    visitor = session.begin(name="Ana", role=role, nonce="n", now=NOW)
    return part(template, root="./", visitor=visitor, csrf="token", back="", version="1", **values)


def services_html(found: Facts, **asked: Any) -> str:
    """The page of all services."""
    shown: Fleet = fleet(found, **asked)
    return rendered("services.html", fleet=shown, rollouts=(), lost=0, decided=())


def service_html(found: Page, role: Role = Role.OPERATE) -> str:
    """The page of one service."""
    return rendered("service.html", role, service=found)


def gateway(found: Facts | None = None, **changes: Any) -> Page:
    """The page of gateway."""
    return page("gateway", found or facts(), own(**changes))
