"""Problems in files that a person wrote: position, message, and a hint that says what to type.

Every reader of user input collects its problems in one `Problems` and continues: one run shows all problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct, field


class Position(Struct, frozen=True, order=True):
    """A place in a text file; `line` and `column` count from 1, as editors do."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(Struct, frozen=True):
    """One mistake. `code` is `area/name`, the heading of its entry in docs/problems.md."""

    code: str
    position: Position
    message: str
    hint: str = ""
    warning: bool = False

    def as_json(self) -> dict[str, object]:
        """The problem for `--json`: the same facts as the text form, one field each."""
        return {
            "code": self.code,
            "file": self.position.file,
            "line": self.position.line,
            "column": self.position.column,
            "severity": "warning" if self.warning else "error",
            "message": self.message,
            "hint": self.hint,
        }


class Problems(Struct):
    """A collection of problems; equal problems are kept once."""

    found: dict[Problem, None] = field(default_factory=dict)
    error_count: int = 0  # counted on the way, because readers ask after each mapping

    def add(self, code: str, position: Position, message: str, hint: str = "", *, warning: bool = False) -> None:
        """Record one mistake."""
        self._keep(Problem(code=code, position=position, message=message, hint=hint, warning=warning))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Record the problems of another collection."""
        for problem in problems:
            self._keep(problem)

    def _keep(self, problem: Problem) -> None:
        if problem not in self.found:
            self.found[problem] = None
            self.error_count += not problem.warning

    @property
    def errors(self) -> list[Problem]:
        """The problems that stop the command, by file and line."""
        return [problem for problem in self if not problem.warning]

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self.found, key=lambda problem: (problem.position, problem.code, problem.message)))

    def __len__(self) -> int:
        return len(self.found)


def printable(text: str) -> str:
    """`text` with control characters as escapes: input must not control the reader's terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def render(
    problem: Problem, source_line: str | None = None, paint: Callable[[str, str], str] = lambda _style, text: text
) -> str:
    """The problem for people: one line with the position, the source line with a caret, and the hint.

    `paint` gives a text in a style: `paint("bold red", "error")`.
    """
    kind, colour = ("warning", "yellow") if problem.warning else ("error", "red")
    place = paint("bold", str(problem.position))
    lines = [f"{place}: {paint(f'bold {colour}', kind)}: {printable(problem.message)} [{problem.code}]"]
    if source_line is not None:
        shown = printable(source_line.replace("\t", " "))[:160]
        lines += [f"    {shown}", "    " + " " * (problem.position.column - 1) + paint(f"bold {colour}", "^")]
    if problem.hint:
        lines.append(f"    {paint('cyan', 'hint')}: {printable(problem.hint)}")
    return "\n".join(lines)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` probably means; `None` if no word is close."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
