"""The page for people with a browser: what is frozen and why. Works without scripts and without outside assets.

A GET changes nothing. A visitor logs in with the `read` or the `operate` token and gets a session cookie
(SameSite=Strict). Each form carries the session's CSRF token, and `receiver.http.access` has checked Host and Origin.

Every shown value passes Jinja2's autoescape. The Content-Security-Policy forbids every script and style but our own.
This wing may import the wings below, and `receiver.http`. Begin to read with `views`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from receiver.context import Context
from receiver.http.page.views import Views
from receiver.http.tokens import Tokens

__all__ = ["CHANGES_PATH", "routes"]

CHANGES_PATH = "/page/changes"
OWN = Path(__file__).parent


def routes(
    *,
    context: Context,
    tokens: Tokens,
    public_url: str,
    problems: Callable[[], Sequence[str]],
    stopping: Callable[[], bool],
) -> list[web.RouteDef]:
    """The routes of the page. `public_url` says whether browsers use HTTPS; `problems` are the receiver's own."""
    views = Views(context=context, tokens=tokens, public_url=public_url, problems=problems, stopping=stopping)
    return [
        web.get("/", views.index),
        web.get("/page/board", views.fragment),
        web.get(CHANGES_PATH, views.changes),
        web.get("/page/style.css", views.asset(OWN / "style.css", "text/css")),
        web.get("/page/script.js", views.asset(OWN / "script.js", "text/javascript")),
        web.post("/page/login", views.login),
        web.post("/page/logout", views.logout),
        *(web.post(f"/page/{name}", views.operation(name)) for name in ("ack", "cancel", "dlq", "unfreeze")),
    ]
