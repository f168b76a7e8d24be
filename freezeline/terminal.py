"""Colour and progress for people at a terminal. Piped output is plain, and NO_COLOR keeps a terminal plain.

`rich` is imported only where something is painted, because the import takes longer than most commands.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TextIO

Paint = Callable[[str, str], str]
"""Gives a text in a style such as `bold red`, or the text itself: paint(style, text)."""

Told = Callable[[int, int], None]
"""Gets how many steps are done, and how many there are."""


def plain(_style: str, text: str) -> str:
    """The text without any style."""
    return text


def painter(stream: TextIO) -> Paint:
    """How to paint text for this stream: not at all unless a person looks at the stream and wants colour."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    styles, system = import_module("rich.style"), import_module("rich.color").ColorSystem.STANDARD

    def paint(style: str, text: str) -> str:
        return str(styles.Style.parse(style).render(text, color_system=system))

    return paint


@contextlib.contextmanager
def progress(what: str, stream: TextIO) -> Iterator[Told]:
    """Show on a terminal that a command is at work, and how far. The line goes away at the end."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _done, _total: None
        return
    console = import_module("rich.console").Console(file=stream)
    bars = import_module("rich.progress")
    columns = (bars.SpinnerColumn(), bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn())
    with bars.Progress(*columns, bars.TimeElapsedColumn(), console=console, transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
