"""The last sequence number shown, kept in a file so that a restart shows nothing twice and misses nothing."""

import json
import os
import tempfile
from pathlib import Path

FORMAT = "freezeline.toast/1"


class SeenFileError(Exception):
    """The file cannot be used; the message names it and says why."""


def load(path: Path) -> int | None:
    """The last sequence number shown; None where none ever was. Raises SeenFileError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SeenFileError(f"{path}: cannot be read: {error}") from error
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise SeenFileError(f"{path}: not JSON; remove it to start from now") from error
    seq = content.get("seq") if isinstance(content, dict) and content.get("format") == FORMAT else None
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise SeenFileError(f"{path}: not a {FORMAT} file; remove it to start from now")
    return seq


def save(path: Path, seq: int) -> None:
    """Replace the file whole and durably. Raises SeenFileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
            try:
                file.write(json.dumps({"format": FORMAT, "seq": seq}) + "\n")
                file.flush()
                os.fsync(file.fileno())
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise SeenFileError(f"{path}: cannot be written: {error}") from error
