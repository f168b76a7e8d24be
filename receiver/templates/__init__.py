"""The words of notices: Jinja2 templates, ours or the user's, that can neither run long nor leak.

`moments/<moment>.j2` gives title (first line) and text (the rest) of a notice; `channels/<channel>.j2` lays a
notice out for one channel. A user's directory may hold any of these files; each replaces ours of the same
name.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from receiver.notice import TEXT_MAX, TITLE_MAX, Moment, Notice
from receiver.plaintext import plain
from receiver.templates.escape import line, slack_text
from receiver.templates.language import SOURCE_MAX, TemplateProblem, check

__all__ = ["TemplateProblem", "Templates", "Words"]

OWN = Path(__file__).parent
OUTPUT_MAX = 8000
FACTS_MAX = 64
ESCAPES: dict[str, Callable[[str], str]] = {"email": line, "pagerduty": line, "slack": slack_text}


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Title and text of a notice: plain, one line each, within TITLE_MAX and TEXT_MAX characters."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Templates:
    """Every template, compiled. `problems` are what is wrong in the user's files, for which ours stand in."""

    compiled: Mapping[str, Template]
    problems: tuple[TemplateProblem, ...]

    @classmethod
    def load(cls, user: Path | None = None) -> Self:
        """Read ours and those in `user`. Raises FileNotFoundError where that directory is missing."""
        compiled: dict[str, Template] = {}
        problems: list[TemplateProblem] = []
        for name in _names():
            compiled[name] = _environment(name).from_string((OWN / name).read_text(encoding="utf-8"))
        if user is not None:
            for name, source in _user_sources(user, problems):
                environment = _environment(name)
                found = check(environment, source, str(user / name))
                problems.extend(found)
                if not found:
                    compiled[name] = environment.from_string(source)
        return cls(compiled=compiled, problems=tuple(problems))

    def words(
        self, moment: Moment, *, service: str, severity: str, at: datetime, facts: Mapping[str, str]
    ) -> Words:
        """Say what happened. `facts` as docs/notifiers.md lists them; a missing one is the empty text."""
        text = self._render(
            f"moments/{moment}.j2",
            {"service": service, "severity": severity, "moment": moment.value, "at": _time(at)},
            facts,
        )
        title, _, rest = text.strip().partition("\n")
        return Words(title=plain(title, TITLE_MAX), text=plain(rest, TEXT_MAX))

    def render(self, channel: str, notice: Notice) -> str:
        """Lay a notice out for one of ESCAPES, values escaped for it, in at most OUTPUT_MAX characters."""
        fields = {
            "service": notice.service,
            "severity": notice.severity,
            "moment": notice.moment.value,
            "title": notice.title,
            "text": notice.text,
            "url": notice.url,
            "at": _time(notice.at),
            "trace_id": notice.trace_id,
            "request_id": notice.request_id,
            "repeat": notice.repeat,
        }
        return self._render(f"channels/{channel}.j2", fields, notice.facts)

    def _render(self, name: str, fields: Mapping[str, str | bool], facts: Mapping[str, str]) -> str:
        """Render; where the user's template fails on these values, ours speaks, so that no notice is lost."""
        values = dict(fields) | {"facts": _Facts(facts)}
        try:
            return _bounded(self.compiled[name], values)
        except (TemplateError, TypeError, ValueError):
            own = (OWN / name).read_text(encoding="utf-8")
            return _bounded(_environment(name).from_string(own), values)


class _Facts:
    """Facts for a template: `facts.alert`, `{% for name in facts %}`. No method of a dict can be reached."""

    __slots__ = ("_facts",)

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._facts = dict(sorted(facts.items())[:FACTS_MAX])

    def __getitem__(self, name: str) -> str:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)


def _names() -> list[str]:
    return [
        *(f"moments/{moment}.j2" for moment in Moment),
        *(f"channels/{channel}.j2" for channel in ESCAPES),
    ]


def _environment(name: str) -> ImmutableSandboxedEnvironment:
    folder, _, file = name.partition("/")
    escape = ESCAPES[file.removesuffix(".j2")] if folder == "channels" else line
    return ImmutableSandboxedEnvironment(
        # Not HTML: every value passes through the channel's own escape instead.
        autoescape=False,
        finalize=lambda value: escape(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _user_sources(user: Path, problems: list[TemplateProblem]) -> Iterator[tuple[str, str]]:
    known = set(_names())
    if not user.is_dir():
        raise FileNotFoundError(f"template directory {user} does not exist")
    for path in sorted(user.rglob("*.j2")):
        name = path.relative_to(user).as_posix()
        if name not in known:
            message = f"no template is called {name}"
            problems.append(
                TemplateProblem(
                    file=str(path), line=1, message=message, hint="see the list in docs/notifiers.md"
                )
            )
            continue
        with path.open("rb") as file:
            raw = file.read(4 * SOURCE_MAX + 1)
        try:
            yield name, raw.decode("utf-8")
        except UnicodeDecodeError:
            problems.append(
                TemplateProblem(file=str(path), line=1, message="not UTF-8", hint="save it as UTF-8")
            )


def _bounded(template: Template, values: Mapping[str, object]) -> str:
    text = ""
    for piece in template.generate(values):
        text += piece
        if len(text) > OUTPUT_MAX:
            return text[: OUTPUT_MAX - 1] + "…"
    return text


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
