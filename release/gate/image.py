"""`image-pinned`: the image is named by its digest."""

from __future__ import annotations

import re
from collections.abc import Mapping

from receiver.plaintext import plain
from release.gate.answer import Finding
from release.gate.world import EvidenceError, World, cannot_tell, go, no_go
from release.policy.gate import ImagePinned

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
SOURCE = "environment"


async def check(check: ImagePinned, world: World) -> Finding:
    """`name@sha256:` and 64 hex digits, after the variables were filled in."""
    try:
        image = filled(check.image, world.environment)
    except EvidenceError as error:
        return cannot_tell(check.id, SOURCE, str(error), threshold="name@sha256:…")
    shown = plain(image, 300)
    if _PINNED.fullmatch(image):
        return go(check.id, SOURCE, f"{shown} has a digest", value=shown, threshold="name@sha256:…")
    reason = f"{shown} has no digest: a tag may name another image tomorrow"
    return no_go(check.id, SOURCE, reason, value=shown, threshold="name@sha256:…")


def filled(text: str, environment: Mapping[str, str]) -> str:
    """The text with `${NAME}` replaced. Raises EvidenceError for a variable that is not set."""
    missing = [name for name in _VARIABLE.findall(text) if not environment.get(name)]
    if missing:
        raise EvidenceError(f"the variable {', '.join(missing)} is not set")
    return _VARIABLE.sub(lambda found: environment[found[1]], text)


def digest_of(image: str) -> str:
    """`sha256:…` of an image that is pinned; empty for another one."""
    return image.rpartition("@")[2] if _PINNED.fullmatch(image) else ""
