"""What a check answers, and what the answers of all checks mean together."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from msgspec import Struct


class Verdict(enum.Enum):
    """GO, NO_GO, or CANNOT_TELL where evidence is missing."""

    GO = "GO"
    NO_GO = "NO_GO"
    CANNOT_TELL = "CANNOT_TELL"


EXIT_CODES = {Verdict.GO: 0, Verdict.NO_GO: 1, Verdict.CANNOT_TELL: 2}


class Finding(Struct, frozen=True, kw_only=True):
    """One check's answer. `source` names where the evidence came from: "flag", "prometheus", "receiver" or a file.

    `value` and `threshold` are texts for people, empty where nothing was measured.
    """

    id: str
    verdict: Verdict
    reason: str
    source: str
    value: str = ""
    threshold: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """All answers. `optional` are the findings that could not be made but whose source the policy calls optional."""

    service: str
    at: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    optional: frozenset[str]


def overall(findings: Iterable[Finding], sources: Mapping[str, str]) -> Verdict:
    """Any NO_GO wins. Then any CANNOT_TELL, unless its source is optional. Without a single GO, nobody can tell."""
    found = list(findings)
    verdicts = {one.verdict for one in found}
    if Verdict.NO_GO in verdicts:
        return Verdict.NO_GO
    if any(one.verdict is Verdict.CANNOT_TELL and not is_optional(one, sources) for one in found):
        return Verdict.CANNOT_TELL
    return Verdict.GO if Verdict.GO in verdicts else Verdict.CANNOT_TELL


def is_optional(finding: Finding, sources: Mapping[str, str]) -> bool:
    """Whether the policy does not insist on this finding's source. Files are always required."""
    return sources.get(finding.source, "required") == "optional"
