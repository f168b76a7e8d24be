"""What the gate may ask: Prometheus, the receiver, files and the environment. Everything is passed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from receiver.policy.model import Policy
from receiver.sources.prometheus import Prometheus
from release.gate.answer import Finding, Verdict
from release.policy.gate import Check

FILE_MAX_BYTES = 256 * 1024 * 1024
"""Trivy's reports of large images have tens of megabytes."""

CLOCKS_DIFFER_S = 300.0
"""Evidence whose time lies further in the future proves nothing."""

AskReceiver = Callable[[], Awaitable[Mapping[str, Any]]]


class World(Struct, frozen=True, kw_only=True):
    """The gate's surroundings. `prometheus` and `receiver` are None where the caller named none.

    `checks` are the gate's checks by id, for a check that names another one. Relative paths of evidence begin at
    `directory`. `rehearsals` is the file of the rehearsals' history. `host` is the machine whose rehearsals count.
    `sources` are those of the gate: which must be readable for a verdict; a source that is not there must be.
    """

    policy: Policy
    checks: Mapping[str, Check]
    now: datetime
    environment: Mapping[str, str]
    directory: Path
    rehearsals: Path | None
    host: str
    prometheus: Prometheus | None
    receiver: AskReceiver | None
    sources: Mapping[str, str] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """A file of evidence. Raises EvidenceError where the file is missing, unreadable or too large."""
        path = self.directory / name
        try:
            with path.open("rb") as file:
                data = file.read(FILE_MAX_BYTES + 1)
        except OSError as error:
            raise EvidenceError(f"{name} cannot be read: {error.strerror or error}") from error
        if len(data) > FILE_MAX_BYTES:
            raise EvidenceError(f"{name} has more than {FILE_MAX_BYTES} bytes")
        return data


class EvidenceError(Exception):
    """Evidence is missing or makes no sense: the check cannot tell."""


def go(check_id: str, source: str, reason: str, *, value: str = "", threshold: str = "") -> Finding:
    """A check that passes."""
    return Finding(id=check_id, verdict=Verdict.GO, reason=reason, source=source, value=value, threshold=threshold)


def no_go(check_id: str, source: str, reason: str, *, value: str = "", threshold: str = "") -> Finding:
    """A check that fails."""
    return Finding(id=check_id, verdict=Verdict.NO_GO, reason=reason, source=source, value=value, threshold=threshold)


def cannot_tell(check_id: str, source: str, reason: str, *, value: str = "", threshold: str = "") -> Finding:
    """A check without the evidence that it needs."""
    return Finding(
        id=check_id, verdict=Verdict.CANNOT_TELL, reason=reason, source=source, value=value, threshold=threshold
    )
