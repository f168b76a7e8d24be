"""The template of a proxy's file: Jinja, in a sandbox, with the canary's share and the chosen users."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from receiver.plaintext import plain
from release.traffic.adapter import TrafficError

BINDS_CLIENTS = re.compile(r"(?m)^\s*(ip_hash|hash|least_conn|least_time|random|sticky)\b")
"""Words of nginx and Traefik that bind a client to a server, or do not split by weight."""

_environment = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


def render(template: str, weight: Decimal, users: Sequence[str]) -> str:
    """The file's text for a weight. Users are chosen only while the weight is not 0. Raises TrafficError."""
    percent = weight * 100
    values = {
        "canary_percent": _Percent(percent),
        "stable_percent": _Percent(100 - percent),
        "users": list(users) if weight > 0 else [],
    }
    try:
        return _environment.from_string(template).render(values)
    except jinja2.TemplateError as error:
        line = f"line {error.lineno}: " if isinstance(error, jinja2.TemplateSyntaxError) else ""
        raise TrafficError(f"the template cannot be used: {line}{plain(str(error), 200)}") from error


def objections(template: str, users: Sequence[str]) -> tuple[str, ...]:
    """What speaks against a template, as far as its text tells. Raises TrafficError."""
    texts = {render(template, Decimal(weight), users) for weight in ("0", "0.1", "0.5", "1")}
    reasons = []
    if len(texts) < 4:
        reasons.append("the template gives the same file for different weights: use `canary_percent`")
    bound = next((found for text in texts if (found := BINDS_CLIENTS.search(text))), None)
    if bound is not None:
        reasons.append(f"`{bound[1]}` in the template does not split by weight: remove `{bound[1]}`")
    return tuple(reasons)


class _Percent(Decimal):
    """A percentage that a template writes without trailing zeros and without an exponent."""

    def __str__(self) -> str:
        return f"{self.normalize():f}"
