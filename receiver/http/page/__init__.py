"""The pages for people with a browser: what is frozen and why. Pages need no scripts and no outside assets.

A GET changes nothing. A visitor logs in with the `read` or the `operate` token and gets a session cookie
(SameSite=Strict). Each form carries the session's CSRF token, and `receiver.http.access` has checked Host and Origin.

Every shown value passes Jinja2's autoescape. The Content-Security-Policy forbids every script and style but our own.
This wing may import the wings below, and `receiver.http`. Begin to read with `pages`, which says what each page shows.
The module `views` has sessions and forms.
"""

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from receiver.context import Context
from receiver.http.page.measures import Measures
from receiver.http.page.oidc import Provider
from receiver.http.page.pages import CONTENTS, Pages
from receiver.http.page.people import Grants, Proxy
from receiver.http.page.reports import Reports
from receiver.http.page.system import Health
from receiver.http.page.views import Views
from receiver.http.tokens import Tokens
from receiver.rollout_report import Reporter

__all__ = ["CHANGES_PATH", "Grants", "Measures", "Provider", "Proxy", "routes"]

CHANGES_PATH = "/page/changes"
OWN = Path(__file__).parent


def routes(
    *,
    context: Context,
    tokens: Tokens,
    public_url: str,
    health: Health,
    measures: Measures,
    alertmanager: str,
    stopping: Callable[[], bool],
    proxy: Proxy | None,
    provider: Provider | None,
    reporter: Reporter,
) -> list[web.RouteDef]:
    """The routes of the pages. `public_url` says whether browsers use HTTPS; `alertmanager` is for links."""
    pages = Pages(
        context=context,
        measures=measures,
        health=health,
        alertmanager=alertmanager,
        public_url=public_url,
        reports=Reports(reporter=reporter, clock=context.clock),
    )
    views = Views(context=context, tokens=tokens, public_url=public_url, pages=pages, stopping=stopping)
    views.proxy, views.provider = proxy, provider
    return [
        *(web.get(path, views.page(content)) for path, content in CONTENTS.items()),
        web.get("/page/incident.md", views.markdown),
        web.get("/page/rollout.md", views.rollout_markdown),
        web.get(CHANGES_PATH, views.changes),
        web.get("/page/style.css", views.asset(OWN / "style.css", "text/css")),
        web.get("/page/script.js", views.asset(OWN / "script.js", "text/javascript")),
        web.post("/page/login", views.login),
        web.get("/page/oidc", views.oidc),
        web.get("/page/oidc-done", views.oidc_done),
        web.post("/page/logout", views.logout),
        *(web.post(f"/page/{name}", views.operation(name)) for name in ("ack", "cancel", "dlq", "freeze", "unfreeze")),
    ]
