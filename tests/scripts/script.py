"""A script: one command-line case in one file: what it shows, where it starts from, commands, what must come out.

    A button that nothing happens on is reported.

    $ freezeline validate slos
    -- slos/a.yaml --
    …
    -- stdout --
    -- stderr --
    …
    -- exit --
    1

Lines before the first section: prose, then commands (`$ …`). Those before the last command must exit 0; the sections
`stdout`, `stderr` and `exit` are the last one's, `new files` what all of them left behind. A section `NAME (hex)` is a
binary file. Commands beside `freezeline`: `replace FILE OLD NEW`, `remove FILE`, `fill FILE TEXT COUNT` (its end),
`copy FILE NEW`.
"""

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from freezeline.cli import main

_SECTION = re.compile(r"^-- (.+) --$")
EXPECTED = ("stdout", "stderr", "exit", "new files")


class Script(Struct, frozen=True, kw_only=True):
    """A case as read. `sections` are in the order of the file; names of inputs are relative paths."""

    head: str
    commands: tuple[str, ...]
    sections: tuple[tuple[str, str], ...]

    @property
    def inputs(self) -> list[tuple[str, bytes]]:
        """The files to start from."""
        return [_input(name, text) for name, text in self.sections if name not in EXPECTED]

    def expected(self, name: str) -> str:
        """The text of a section, empty where it is not there."""
        return dict(self.sections).get(name, "")

    def text(self, outcome: dict[str, str]) -> str:
        """The script with these outputs in place of what it expected."""
        inputs = [(name, text) for name, text in self.sections if name not in EXPECTED]
        outputs = [(name, outcome[name]) for name in EXPECTED if outcome[name] or name in ("stderr", "exit")]
        return self.head + "".join(f"-- {name} --\n{text}" for name, text in [*inputs, *outputs])


def read(text: str) -> Script:
    """The parts of a script file."""
    head: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    for line in text.splitlines(keepends=True):
        match = _SECTION.match(line)
        if match:
            sections.append((match[1], []))
        else:
            (sections[-1][1] if sections else head).append(line)
    commands = tuple(line[2:].strip() for line in head if line.startswith("$ "))
    return Script(
        head="".join(head), commands=commands, sections=tuple((name, "".join(lines)) for name, lines in sections)
    )


def _input(name: str, text: str) -> tuple[str, bytes]:
    if name.endswith(" (hex)"):
        return name.removesuffix(" (hex)"), bytes.fromhex(text)
    return name, text.encode()


def play(script: Script, folder: Path) -> dict[str, str]:
    """Run the commands in `folder` and return what came out, by the names in `EXPECTED`."""
    for name, data in script.inputs:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with contextlib.chdir(folder):
        before = _files(folder)
        outcome = {"stdout": "", "stderr": "", "exit": "0\n"}
        for number, command in enumerate(script.commands, start=1):
            outcome = run(shlex.split(command))
            if number < len(script.commands) and outcome["exit"] != "0\n":
                raise AssertionError(f"$ {command}\nexit {outcome['exit']}{outcome['stderr']}")
        return outcome | {"new files": _lines(sorted(_files(folder) - before))}


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def run(words: list[str]) -> dict[str, str]:
    """One command in this process, its output caught."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = main(words[1:]) if words[0] == "freezeline" else _edit(words)
    return {"stdout": _whole(stdout), "stderr": _whole(stderr), "exit": f"{code}\n"}


def _whole(stream: io.StringIO) -> str:
    """What was printed; sections end at a line's end."""
    text = stream.getvalue()
    return text if not text or text.endswith("\n") else text + "⏎\n"


def _edit(words: list[str]) -> int:
    match words:
        case ["replace", file, old, new]:
            text = Path(file).read_text(encoding="utf-8")
            assert old in text, f"{old!r} is not in {file}"
            Path(file).write_text(text.replace(old, new, 1), encoding="utf-8")
        case ["remove", file]:
            Path(file).unlink()
        case ["copy", file, new]:
            shutil.copyfile(file, new)
        case ["fill", file, text, count]:
            with Path(file).open("a", encoding="utf-8") as target:
                target.write(text.encode().decode("unicode_escape") * int(count))
        case _:
            raise AssertionError(f"a script cannot do {words}")
    return 0
