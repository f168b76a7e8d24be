"""Runs promtool and amtool on generated files, and reports their messages in terms of the spec.

Freezeline looks first at the path of the option, then at FREEZELINE_PROMTOOL (or FREEZELINE_AMTOOL), then on PATH. The
last places are those of `./dev`: the folders in FREEZELINE_TOOLS_CURRENT and FREEZELINE_TOOLS_OLD, and the user's
cache.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

VERSION_DEADLINE_S = 20.0
CHECK_DEADLINE_S = 120.0
TEST_DEADLINE_S = 600.0
OLDEST = {"promtool": (2, 40, 0), "amtool": (0, 25, 0)}
OUTPUT_MAX_CHARS = 4_000_000


class ToolError(Exception):
    """A tool is missing, too old, or does not start or end. Exit code 3."""


class Finished(Struct, frozen=True, kw_only=True):
    """How a process ended. `output` holds stdout and stderr in the order of writing."""

    code: int
    output: str


Run = Callable[[Sequence[str], Path, float], Finished]


def run_process(argv: Sequence[str], cwd: Path, deadline_s: float) -> Finished:
    """Run a command to its end, or to the deadline. Raises ToolError."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            timeout=deadline_s,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # one stream, because a message must follow the name of its file
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{argv[0]} did not end within {deadline_s:g} s: {' '.join(argv[1:3])} …") from error
    except OSError as error:
        raise ToolError(f"{argv[0]} does not start: {error.strerror}") from error
    return Finished(code=done.returncode, output=done.stdout.decode("utf-8", "replace")[:OUTPUT_MAX_CHARS])


class Message(Struct, frozen=True, kw_only=True):
    """One message of a tool. `line` counts from 1; without a line, `group`, `rule` or `test` may help."""

    text: str
    file: str = ""
    line: int | None = None
    column: int | None = None
    group: str = ""
    rule: int | None = None  # counts from 1 within its group
    test: str = ""  # the name of the unit test that failed


class Outcome(Struct, frozen=True, kw_only=True):
    """What a tool said about files. `output` is all its output."""

    ok: bool
    messages: tuple[Message, ...]
    output: str


class Tool(Struct, frozen=True, kw_only=True):
    """A promtool or amtool that answered with its version."""

    name: str
    path: Path
    version: tuple[int, ...]
    run: Run

    @property
    def version_text(self) -> str:
        """`2.42.0`."""
        return ".".join(map(str, self.version))

    def check_rules(self, files: Sequence[Path], cwd: Path) -> Outcome:
        """`promtool check rules`; two rules that record the same series are an error. Raises ToolError."""
        return self._outcome(["check", "rules", "--lint-fatal", *map(str, files)], cwd, CHECK_DEADLINE_S)

    def check_config(self, file: Path, cwd: Path) -> Outcome:
        """`promtool check config`, or `amtool check-config`. Raises ToolError."""
        command = ["check", "config"] if self.name == "promtool" else ["check-config"]
        return self._outcome([*command, str(file)], cwd, CHECK_DEADLINE_S)

    def test_rules(self, files: Sequence[Path], cwd: Path, deadline_s: float = TEST_DEADLINE_S) -> Outcome:
        """`promtool test rules`. Raises ToolError."""
        return self._outcome(["test", "rules", *map(str, files)], cwd, deadline_s)

    def _outcome(self, arguments: list[str], cwd: Path, deadline_s: float) -> Outcome:
        done = self.run([str(self.path), *arguments], cwd, deadline_s)
        if done.code not in (0, 1, 3):
            raise ToolError(f"{self.path} ended with exit code {done.code}: {done.output[-500:].strip()}")
        messages = () if done.code == 0 else parse_messages(done.output)
        if done.code != 0 and not messages:
            messages = (Message(text=done.output.strip()[-2000:] or f"exit code {done.code}"),)
        return Outcome(ok=done.code == 0, messages=messages, output=done.output)


# -- finding


def find(name: str, *, environment: Mapping[str, str], given: str | None = None, run: Run = run_process) -> Tool:
    """The tool `name` (`promtool` or `amtool`). Raises ToolError with the places searched."""
    path = _locate(name, environment, given)
    done = run([str(path), "--version"], Path("/"), VERSION_DEADLINE_S)
    match = re.search(r"version v?(\d+)\.(\d+)\.(\d+)", done.output)
    if done.code != 0 or match is None:
        raise ToolError(f"{path} --version does not answer like {name}: {done.output[:200].strip()!r}")
    version = tuple(map(int, match.groups()))
    if version < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        raise ToolError(f"{path} has version {'.'.join(match.groups())}; Freezeline needs {oldest} or newer")
    return Tool(name=name, path=path, version=version, run=run)


def _locate(name: str, environment: Mapping[str, str], given: str | None) -> Path:
    variable = f"FREEZELINE_{name.upper()}"
    explicit = given or environment.get(variable)
    if explicit:
        found = shutil.which(explicit, path=environment.get("PATH", ""))
        if found is None:
            source = f"--{name}" if given else variable
            raise ToolError(f"{explicit} is not an executable file (from {source})")
        return Path(found).absolute()
    folders = [*environment.get("PATH", "").split(":"), *_tool_folders(environment)]
    found = shutil.which(name, path=":".join(folder for folder in folders if folder))
    if found is None:
        raise ToolError(
            f"{name} is not on PATH: install {name}, set {variable} to its path, or run `./dev tools --any`"
        )
    return Path(found).absolute()


def _tool_folders(environment: Mapping[str, str]) -> list[str]:
    named = [environment.get(f"FREEZELINE_TOOLS_{generation}", "") for generation in ("CURRENT", "OLD")]
    home = environment.get("XDG_CACHE_HOME") or f"{environment.get('HOME', '')}/.cache"
    cache = Path(home) / "freezeline" / "tools"
    return named + [str(path) for path in sorted(cache.glob("[!.]*"), reverse=True)]


# -- reading what they print

# `rules.yml: 5:11: group "x", rule 1, "a": could not parse expression: …`; the position may be missing.
_RULE = re.compile(r"^(?P<file>\S+?): (?:(?P<line>\d+):(?P<column>\d+): )?(?P<text>(?:group |groupname: ).*)$")
_IN_GROUP = re.compile(r'^group "(?P<group>[^"]*)", rule (?P<rule>\d+), ')
_YAML_FILE = re.compile(r"^\s*(?:FAILED: )?(?:parsing YAML file )?(?P<file>[^\s:]+): yaml: ?(?P<text>.*)$")
_YAML_LINE = re.compile(r"^\s*(?:yaml: )?line (?P<line>\d+): (?P<text>.*)$")
_NEXT_FILE = re.compile(r"^(?:Unit Testing:|Checking) +(?P<file>'[^']*'|\S+)(?: +FAILED: (?P<failed>.*))?")
_TEST_NAME = re.compile(r"^\s*name: (?P<name>.*),$")
_DUPLICATES = re.compile(r"^(?:lint error )?(?P<count>\d+) duplicate rule\(s\) found\.$")


def parse_messages(output: str) -> tuple[Message, ...]:
    """The messages in the output of a failed command, in their order."""
    found: list[Message] = []
    reader = _Reader()
    for line in output.splitlines():
        message = reader.message(line)
        if message is not None:
            found.append(message)
    return (*found, *reader.rest())


class _Reader:
    """Reads line by line, and remembers the file or test of the following lines."""

    def __init__(self) -> None:
        self.file = ""
        self.test = ""
        self.failure: list[str] = []  # lines of the unit test failure being read

    def message(self, line: str) -> Message | None:
        """The message that this line completes, if any."""
        stripped = line.strip()
        if match := _NEXT_FILE.match(line):
            done = self._failure()
            self.file, self.test = match["file"].strip("'"), ""
            return done or self._amtool(match["failed"] or "")
        if match := _TEST_NAME.match(line):
            done = self._failure()
            self.test = match["name"]
            return done
        if stripped.startswith(("alertname:", "expr:", "error:")):
            done = self._failure()
            self.failure = [stripped]
            return done
        if self.failure and stripped:
            self.failure.append(stripped)
            return None
        return self._plain(line)

    def _failure(self) -> Message | None:
        if not self.failure:
            return None
        text = " ".join(part.rstrip(",") for part in self.failure)
        self.failure = []
        return Message(text=text, file=self.file, test=self.test)

    def rest(self) -> list[Message]:
        """The message that was not complete at the end of the output."""
        last = self._failure()
        return [last] if last is not None else []

    def _plain(self, line: str) -> Message | None:
        stripped = line.strip()
        if match := _YAML_FILE.match(line):
            self.file = match["file"]
            inner = _YAML_LINE.match(match["text"])
            if inner:
                return Message(text=inner["text"], file=self.file, line=int(inner["line"]))
            return None if match["text"].startswith("unmarshal errors") else Message(text=match["text"], file=self.file)
        if match := _YAML_LINE.match(line):
            return Message(text=match["text"], file=self.file, line=int(match["line"]))
        if match := _RULE.match(stripped):
            return _rule_message(match)
        if match := _DUPLICATES.match(stripped):
            return Message(text=f"{match['count']} rules record the same series", file=self.file)
        if stripped.startswith(("Metric:", "record:")):
            return Message(text=f"two rules record: {stripped.partition(':')[2].strip()}", file=self.file)
        if stripped.startswith(("promtool: error:", "amtool: error:")) and "failed to validate" not in stripped:
            return Message(text=stripped.partition("error: ")[2])
        return None

    def _amtool(self, text: str) -> Message | None:
        if not text or text.startswith("yaml: unmarshal errors"):
            return None
        inner = _YAML_LINE.match(text)
        if inner:
            return Message(text=inner["text"], file=self.file, line=int(inner["line"]))
        return Message(text=text, file=self.file)


def _rule_message(match: re.Match[str]) -> Message:
    text = match["text"]
    inner = _IN_GROUP.match(text)
    return Message(
        text=text,
        file=match["file"],
        line=int(match["line"] or 0) or None,  # `0:0` means an unknown position
        column=int(match["column"] or 0) or None,
        group=inner["group"] if inner else "",
        rule=int(inner["rule"]) if inner else None,
    )
