"""The page for people with a browser: what is frozen and why. Works without scripts and without outside assets.

A GET changes nothing. A visitor logs in with the `read` or the `operate` token and gets a session cookie
(SameSite=Strict). Each form carries the session's CSRF token, and `receiver.http.access` has checked Host and Origin.

Every shown value passes Jinja2's autoescape. The Content-Security-Policy forbids every script and style but our own.
This wing may import the wings below, and `receiver.http`. Begin to read with `views`.
"""

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from receiver.context import Context
from receiver.http.page.views import Views
from receiver.http.tokens import Tokens

__all__ = ["CHANGES_PATH", "setup"]

CHANGES_PATH = "/page/changes"
OWN = Path(__file__).parent


def setup(
    app: web.Application, *, context: Context, tokens: Tokens, public_url: str, stopping: Callable[[], bool]
) -> None:
    """Add the page to the application. `public_url` says whether browsers use HTTPS."""
    views = Views(context=context, tokens=tokens, public_url=public_url, stopping=stopping)
    app.router.add_get("/", views.index)
    app.router.add_get("/page/board", views.fragment)
    app.router.add_get(CHANGES_PATH, views.changes)
    app.router.add_get("/page/style.css", views.asset(OWN / "style.css", "text/css"))
    app.router.add_get("/page/script.js", views.asset(OWN / "script.js", "text/javascript"))
    app.router.add_post("/page/login", views.login)
    app.router.add_post("/page/logout", views.logout)
    for name in ("ack", "cancel", "dlq", "unfreeze"):
        app.router.add_post(f"/page/{name}", views.operation(name))
