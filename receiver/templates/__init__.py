"""How channels lay notices out: Jinja2 templates, ours or the user's, that can neither run long nor leak.

`<channel type>.j2` lays a notice out for channels of this type. A user's directory may hold any of these files; each
file replaces our template of the same name. This wing may import `decide` and `plaintext`. Begin to read with
`Templates` in this file; `language` says which part of Jinja2 is allowed.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec import Struct

from receiver.decide.notice import Notice
from receiver.templates.escape import inert, line, slack_text
from receiver.templates.language import SOURCE_MAX, TemplateProblem, check

__all__ = ["TemplateProblem", "Templates"]

OWN = Path(__file__).parent
OUTPUT_MAX = 8000
FACTS_MAX = 64
ESCAPES: dict[str, Callable[[str], str]] = {
    "apprise": inert,
    "email": line,
    "pagerduty": line,
    "slack": slack_text,
    "toast": line,
}
"""The escape that each variable passes through, by channel type."""


class Templates(Struct, frozen=True, kw_only=True):
    """Every template, compiled. `problems` are the faults of the user's files, which our own templates replace."""

    compiled: Mapping[str, Template]
    problems: tuple[TemplateProblem, ...]

    @classmethod
    def load(cls, user: Path | None = None) -> Self:
        """Read our templates and the templates in `user`. Raises FileNotFoundError if this directory is missing."""
        compiled = {channel: _own(channel) for channel in ESCAPES}
        problems: list[TemplateProblem] = []
        if user is not None and not user.is_dir():
            raise FileNotFoundError(f"template directory {user} does not exist")
        for path in sorted(user.glob("*.j2")) if user is not None else []:
            template = _user_template(path, problems)
            if template is not None:
                compiled[path.stem] = template
        return cls(compiled=compiled, problems=tuple(problems))

    def render(self, channel: str, notice: Notice) -> str:
        """Lay a notice out for a channel type of ESCAPES, with escaped values, in at most OUTPUT_MAX characters.

        If a user's template fails with these values, our own template is used.
        """
        fields = {
            "service": notice.service,
            "severity": notice.severity,
            "event": notice.event.value,
            "title": notice.title,
            "text": notice.text,
            "url": notice.url,
            "at": _time(notice.at),
            "trace_id": notice.trace_id,
            "request_id": notice.request_id,
            "repeat": notice.repeat,
        }
        values = {**fields, "facts": _Facts(notice.facts)}
        try:
            return _bounded(self.compiled[channel], values)
        except (TemplateError, TypeError, ValueError):
            # The user's template fails on these values. Our template is used, so that no notice is lost.
            return _bounded(_own(channel), values)


class _Facts:
    """Facts for a template: `facts.alert`, `{% for name in facts %}`. A template can reach no method of a dict."""

    __slots__ = ("_facts",)

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._facts = dict(sorted(facts.items())[:FACTS_MAX])

    def __getitem__(self, name: str) -> str:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)


def _environment(channel: str) -> ImmutableSandboxedEnvironment:
    escape = ESCAPES[channel]
    return ImmutableSandboxedEnvironment(
        # Not HTML: every value passes through the channel's own escape.
        autoescape=False,
        finalize=lambda value: escape(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _own(channel: str) -> Template:
    source = (OWN / f"{channel}.j2").read_text(encoding="utf-8")
    return _environment(channel).from_string(source)


def _user_template(path: Path, problems: list[TemplateProblem]) -> Template | None:
    """Compile one of the user's files; None if the file has `problems` now."""
    channel = path.stem
    if channel not in ESCAPES:
        known = ", ".join(f"{name}.j2" for name in sorted(ESCAPES))
        problems.append(
            TemplateProblem(
                file=str(path), line=1, message="no such template", hint=f"rename the file; the templates are {known}"
            )
        )
        return None
    with path.open("rb") as file:
        raw = file.read(4 * SOURCE_MAX + 1)
    try:
        source = raw.decode("utf-8")
    except UnicodeDecodeError:
        problems.append(TemplateProblem(file=str(path), line=1, message="not UTF-8", hint="save it as UTF-8"))
        return None
    environment = _environment(channel)
    found = check(environment, source, str(path))
    problems.extend(found)
    return None if found else environment.from_string(source)


def _bounded(template: Template, values: Mapping[str, object]) -> str:
    text = ""
    for piece in template.generate(values):
        text += piece
        if len(text) > OUTPUT_MAX:
            return text[: OUTPUT_MAX - 1] + "…"
    return text


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
