"""Runs other programs and guards shared folders, always with a deadline."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Enough of a failed program's output to show the reason.
TAIL_LINES = 25


class SetupError(Exception):
    """Something that ./dev needs is missing; the message says what to install."""


def say(text: str) -> None:
    """Print one line to stderr: stdout is for data."""
    print(f"dev: {text}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    deadline_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command and return its output (both streams).

    Raises SetupError with the end of the output if the command fails, does not exist, or exceeds `deadline_s`. A
    command that exceeds the deadline is killed with its process group.
    """
    line = " ".join(map(str, argv))
    try:
        process = subprocess.Popen(
            [str(part) for part in argv],
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
    except OSError as error:
        raise SetupError(f"cannot run {argv[0]}: {error.strerror}") from error
    with process:
        try:
            output, _ = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired as error:
            raise SetupError(f"not finished within {deadline_s:g} s: {line}") from error
        finally:
            if process.poll() is None:  # also on Ctrl-C: no process of this run stays behind
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
    if process.returncode != 0:
        tail = "\n".join(output.splitlines()[-TAIL_LINES:])
        raise SetupError(f"exit code {process.returncode}: {line}\n{tail}")
    return output


@contextlib.contextmanager
def locked(path: Path, *, deadline_s: float) -> Iterator[None]:
    """Hold the lock file `path`, so that two runs do the work once. The process's end releases the lock.

    Raises SetupError if another run holds the lock for longer than `deadline_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + deadline_s
    with path.open("w") as handle:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise SetupError(f"another run has held {path} for {deadline_s:g} s") from error
            if not told:
                say(f"waiting for another run that holds {path}")
                told = True
            time.sleep(0.2)
        yield


@contextlib.contextmanager
def made_at_once(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, renamed to `target` at the end: no reader ever sees half of it.

    If the block raises, the folder is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
