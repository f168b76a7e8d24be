"""The scope of the rules that an earlier run wrote: another scope would start all recorded series anew."""

from __future__ import annotations

import re
from pathlib import Path

# The rules about Freezeline itself, as files and as Kubernetes objects.
_FILES = ("rules/freezeline.rules.yml", "rules/operator/freezeline.yaml")
_SCOPE = r"(?m)^ +scope: (?:'((?:[^']|'')*)'|(\S+))$"


def earlier_scope(root: str) -> str | None:
    """The scope in the generated files of a folder; None if there are no such files. Raises OSError."""
    for name in _FILES:
        path = Path(root, name)
        if path.is_file():
            match = re.search(_SCOPE, path.read_text(encoding="utf-8", errors="replace"))
            if match is not None:
                quoted, plain = match.groups()
                return str(plain) if plain is not None else str(quoted).replace("''", "'")
    return None
