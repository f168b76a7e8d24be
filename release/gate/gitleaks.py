"""`secrets`: a report of Gitleaks has at most this many findings.

The report is JSON of `gitleaks git --report-format json`: a list of findings, empty where nothing was found. The
report does not say when it was made, so the file's time counts.
"""

from __future__ import annotations

import json

from release.gate.answer import Finding
from release.gate.world import CLOCKS_DIFFER_S, EvidenceError, World, cannot_tell, go, no_go
from release.policy.gate import Secrets

_MEMBERS = frozenset({"RuleID", "File"})


async def check(check: Secrets, world: World) -> Finding:
    """Count the findings."""
    threshold = f"at most {check.at_most}"
    try:
        count = _counted(check, world)
    except EvidenceError as error:
        return cannot_tell(check.id, check.report, str(error), threshold=threshold)
    said = go if count <= check.at_most else no_go
    reason = "no secret was found" if count == 0 else f"{count} secrets were found"
    return said(check.id, check.report, reason, value=str(count), threshold=threshold)


def _counted(check: Secrets, world: World) -> int:
    data = world.read(check.report)
    try:
        written = (world.directory / check.report).stat().st_mtime
    except OSError as error:
        raise EvidenceError(f"{check.report} cannot be looked at: {error.strerror}") from error
    age_s = world.now.timestamp() - written
    if age_s < -CLOCKS_DIFFER_S:
        raise EvidenceError(f"{check.report} is from the future")
    if check.max_age_s is not None and age_s > check.max_age_s:
        raise EvidenceError(f"{check.report} is older than {check.max_age_s / 3600:g} h")
    try:
        findings = json.loads(data)
    except ValueError as error:
        raise EvidenceError(f"{check.report} is not JSON") from error
    if not isinstance(findings, list) or not all(isinstance(one, dict) and set(one) >= _MEMBERS for one in findings):
        raise EvidenceError(f"{check.report} is no report of Gitleaks")
    return len(findings)
