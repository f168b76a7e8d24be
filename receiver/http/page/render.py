"""HTML of the page: autoescaped templates, and the headers that every answer carries."""

from functools import cache
from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from receiver.plaintext import steady

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def html(name: str, *, root: str, status: int = 200, **values: object) -> web.Response:
    """Render a template into an answer. Links are relative: `root` leads from the answer's URL to the page's URL."""
    text = _environment().get_template(name).render(values, root=root)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=HEADERS)


def part(name: str, *, root: str, **values: object) -> str:
    """Render a template into text. Every value is escaped, and no value changes how the text around it reads."""
    return _environment().get_template(name).render(values, root=root)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "html"),
        autoescape=True,
        finalize=_steady,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _steady(value: object) -> object:
    """A value as the page shows it: without marks that turn the direction of text, for example."""
    return steady(value) if isinstance(value, str) and not isinstance(value, Markup) else value
