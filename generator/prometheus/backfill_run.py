"""Runs promtool for each part of a backfill, with progress and a time limit. Either all blocks appear, or none."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from generator.prometheus.backfill import Part
from generator.prometheus.promtool import Tool, ToolError
from generator.units import HOUR

TAIL_LINES = 12
HEADERS_SINCE = (3, 0)  # the promtool that reads `http_headers` for this command
_RULE_BEGINS = "processing rule"
_TOO_MANY = ("too many samples", "exceeded maximum resolution", "timed out")


class BackfillError(Exception):
    """No block was written; the message says why. Exit code 3."""


class Server(Struct, frozen=True, kw_only=True):
    """The Prometheus that promtool asks, and the headers of each request."""

    url: str
    headers: Mapping[str, str]


class Blocks(Struct, frozen=True, kw_only=True):
    """The blocks made: the folders of TSDB blocks in `folder`, and their size."""

    folder: Path
    count: int
    size_bytes: int


def prepare(folder: Path) -> None:
    """Refuse a folder that is not empty: old blocks would count twice. Raises BackfillError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackfillError(f"{folder} is not an empty folder: blocks of an earlier run would count twice")


def run(
    parts: Sequence[Part],
    promtool: Tool,
    server: Server,
    folder: Path,
    *,
    deadline_s: float,
    progress: Callable[[int, int], None],
) -> Blocks:
    """Make all blocks in `folder`, which is empty or missing. `progress` gets (rules begun, all rules).

    Raises BackfillError and ToolError.
    """
    prepare(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + deadline_s
    total, done = sum(part.rules for part in parts), 0
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
        blocks = Path(work, "blocks")
        blocks.mkdir()
        options = _http_options(promtool, server, Path(work))
        for part in parts:
            rules = Path(work, part.file.path)
            rules.write_text(part.file.text()[0], encoding="utf-8")
            argv = [str(promtool.path), *_arguments(part, blocks), *options, str(rules)]
            _run_one(argv, ends - time.monotonic(), _Counter(progress, done, total))
            done += part.rules
        found = [path for path in blocks.iterdir() if (path / "meta.json").is_file()]
        size = sum(path.stat().st_size for path in blocks.rglob("*") if path.is_file())
        if folder.exists():
            folder.rmdir()
        shutil.move(blocks, folder)
    return Blocks(folder=folder, count=len(found), size_bytes=size)


def _http_options(promtool: Tool, server: Server, work: Path) -> list[str]:
    """The server's address, and a file with its headers: values may be secret, so no command line holds them.

    The file lies in a folder that only this user may read. Raises BackfillError.
    """
    if not server.headers:
        return [f"--url={server.url}"]
    if promtool.version < HEADERS_SINCE:
        needed = ".".join(map(str, HEADERS_SINCE))
        raise BackfillError(f"promtool {promtool.version_text} cannot send headers: name promtool {needed} or later")
    config: dict[str, Any] = {}
    for name, value in server.headers.items():
        if name.lower() == "authorization":
            kind, _, credentials = value.partition(" ")
            config["authorization"] = {"type": kind, "credentials": credentials.strip()}
        else:
            config.setdefault("http_headers", {})[name] = {"secrets": [value]}
    file = work / "http.yml"
    file.write_text(json.dumps({"follow_redirects": False, **config}), encoding="utf-8")
    return [f"--url={server.url}", f"--http.config.file={file}"]


def _arguments(part: Part, blocks: Path) -> list[str]:
    return [
        "tsdb",
        "create-blocks-from",
        "rules",
        f"--start={part.start_s}",
        f"--end={part.end_s}",
        f"--output-dir={blocks}",
        f"--max-block-duration={part.block_ms // HOUR}h",  # Go's durations have no days
    ]


class _Counter:
    """Counts the rules that promtool reports as begun."""

    def __init__(self, progress: Callable[[int, int], None], before: int, total: int) -> None:
        self._progress = progress
        self._count = before
        self._total = total

    def __call__(self, line: str) -> None:
        if _RULE_BEGINS in line:
            self._count += 1
            self._progress(self._count, self._total)


def _run_one(argv: Sequence[str], deadline_s: float, hear: Callable[[str], None]) -> None:
    """Run promtool once, read its output line by line, and kill it at the deadline. Raises BackfillError, ToolError."""
    if deadline_s <= 0:
        raise BackfillError("promtool did not finish in time: allow more seconds with --deadline")
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise ToolError(f"{argv[0]} does not start: {error.strerror}") from error
    timer = threading.Timer(deadline_s, process.kill)
    begun = time.monotonic()
    tail: list[str] = []
    timer.start()
    with process:
        try:
            if process.stdout is not None:
                for line in process.stdout:
                    tail = [*tail[-TAIL_LINES:], line.rstrip()]
                    hear(line)
        except BaseException:  # on an interrupt, nobody else would end the process
            process.kill()
            raise
        finally:
            timer.cancel()
    code = process.returncode
    if time.monotonic() - begun >= deadline_s:
        raise BackfillError(
            "promtool did not end in time: allow more seconds with --deadline, or name fewer SLOs with --slo"
        )
    if code:
        said = "\n".join(tail[-TAIL_LINES:])
        hint = "\ntry shorter blocks: --block 18h" if any(text in said for text in _TOO_MANY) else ""
        raise BackfillError(f"promtool ended with exit code {code}:\n{said}{hint}")
