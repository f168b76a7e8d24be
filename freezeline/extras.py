"""What to type where an extra of Freezeline is missing. No package registry has Freezeline: a checkout installs it."""

from __future__ import annotations


def install(extra: str) -> str:
    """The order to install an extra. `--force` lets pipx change an installation without the extra."""
    return f"install Freezeline with the extra `{extra}`: `pipx install --force '.[{extra}]'` in a checkout"
