"""The environment of a command and its runner: only allowed variables, with every value made inert."""

import json
import os
import re
import unicodedata
from collections.abc import Mapping

INHERITED = ("PATH", "HOME", "LANG", "TZ")
"""The only variables that are copied from the receiver's own environment."""

FACT_PREFIX = "FREEZELINE_FACT_"
VALUE_MAX_BYTES = 4096

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Control characters, lone surrogates, and the two separators that many programs take for line ends.
_REMOVED = frozenset({"Cc", "Cs", "Zl", "Zp"})


def child_environment(
    facts: Mapping[str, str], action_env: Mapping[str, str], *, own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The whole environment of a command.

    `facts` come from alerts and become FREEZELINE_FACT_<NAME>. `action_env` comes from the policy, and may override
    variables inherited from `own` (default: this process), but never a fact. Raises ValueError for an invalid name.
    """
    environment = runner_environment(own)
    for name, value in action_env.items():
        environment[_checked(name)] = _inert(value)
    for name, value in facts.items():
        environment[FACT_PREFIX + _checked(name.upper())] = _inert(value)
    return environment


def runner_environment(own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Only the inherited part, always with a PATH."""
    source = os.environ if own is None else own
    inherited = {name: _inert(source[name]) for name in INHERITED if name in source}
    return {"PATH": _DEFAULT_PATH, **inherited}


def labels_json(labels: Mapping[str, str]) -> str:
    """Labels as JSON that fits into one value. Labels that would make the value too long are left out."""
    kept: dict[str, str] = {}
    for name in sorted(labels):
        longer = {**kept, name: labels[name]}
        if len(_dump(longer)) <= VALUE_MAX_BYTES:
            kept = longer
    return _dump(kept)


def _dump(labels: Mapping[str, str]) -> str:
    return json.dumps(labels, ensure_ascii=True, separators=(",", ":"))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name for an environment variable: {name!r}")
    return name


def _inert(value: str) -> str:
    kept = "".join(char for char in value if unicodedata.category(char) not in _REMOVED)
    return kept.encode()[:VALUE_MAX_BYTES].decode(errors="ignore")
