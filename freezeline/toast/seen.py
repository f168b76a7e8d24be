"""The last sequence number shown, in a file: after a restart, no notice is shown twice and none is missed."""

import json
import os
import tempfile
from pathlib import Path

FORMAT = "freezeline.toast/1"


class SeenFileError(Exception):
    """The file cannot be used; the message names the file and the reason."""


def load(path: Path) -> int | None:
    """The last sequence number shown; None if there is none. Raises SeenFileError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SeenFileError(f"{path} cannot be read: {error}") from error
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise SeenFileError(f"{path} is not JSON: remove the file to start from now") from error
    seq = content.get("seq") if isinstance(content, dict) and content.get("format") == FORMAT else None
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise SeenFileError(f"{path} is not a {FORMAT} file: remove the file to start from now")
    return seq


def save(path: Path, seq: int) -> None:
    """Replace the whole file, and sync it to disk. Raises SeenFileError."""
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
        raise SeenFileError(f"{path} cannot be written: {error}") from error
