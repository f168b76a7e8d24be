"""`scan-clean`: a report of Trivy is whole, fresh, about the right image, and has few enough findings.

The report is JSON of `trivy image --format json`, SchemaVersion 2. An end-of-life system, a report without scanned
packages, or a report of the future proves nothing, so the check cannot tell.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from receiver.plaintext import plain
from release.gate.answer import Finding
from release.gate.image import digest_of, filled
from release.gate.world import CLOCKS_DIFFER_S, EvidenceError, World, cannot_tell, go, no_go
from release.policy.gate import ImagePinned, ScanClean

SCHEMA_VERSION = 2
SCANNED = frozenset({"os-pkgs", "lang-pkgs"})


async def check(check: ScanClean, world: World) -> Finding:
    """Count findings by severity, after the report itself was found to be good evidence."""
    threshold = ", ".join(f"{severity} ≤ {count}" for severity, count in check.at_most.items())
    try:
        report = _read(check, world)
        _check_age(report, check, world)
        _check_digest(report, check, world)
        found = _counted(report)
    except EvidenceError as error:
        return cannot_tell(check.id, check.trivy, str(error), threshold=threshold)
    value = ", ".join(f"{severity} {found[severity]}" for severity in check.at_most)
    over = [severity for severity, count in check.at_most.items() if found[severity] > count]
    if not over:
        return go(check.id, check.trivy, "the scan is clean", value=value, threshold=threshold)
    reason = f"the scan found {', '.join(f'{found[severity]} {severity}' for severity in over)}"
    return no_go(check.id, check.trivy, reason, value=value, threshold=threshold)


def _read(check: ScanClean, world: World) -> Mapping[str, Any]:
    try:
        report = json.loads(world.read(check.trivy))
    except ValueError as error:
        raise EvidenceError(f"{check.trivy} is not JSON") from error
    if not isinstance(report, dict) or report.get("SchemaVersion") != SCHEMA_VERSION:
        raise EvidenceError(f"{check.trivy} is no report of Trivy with SchemaVersion {SCHEMA_VERSION}")
    metadata = report.get("Metadata")
    system = metadata.get("OS") if isinstance(metadata, dict) else None
    if isinstance(system, dict) and system.get("EOSL") is True:
        name = plain(f"{system.get('Family', '')} {system.get('Name', '')}".strip(), 60)
        raise EvidenceError(f"{name} gets no security updates any more, so a scan finds too little")
    return report


def _check_age(report: Mapping[str, Any], check: ScanClean, world: World) -> None:
    written = report.get("CreatedAt")
    try:
        age_s = (world.now - datetime.fromisoformat(str(written))).total_seconds()
    except (ValueError, TypeError) as error:
        raise EvidenceError("the report does not say when it was made") from error
    if age_s < -CLOCKS_DIFFER_S:
        raise EvidenceError(f"the report is from the future: {plain(str(written), 40)}")
    if age_s > check.max_age_s:
        raise EvidenceError(f"the report is {age_s / 3600:.1f} h old, more than {check.max_age_s / 3600:g} h")


def _check_digest(report: Mapping[str, Any], check: ScanClean, world: World) -> None:
    """Compare with the digest of another check's image. `ImageID` is no digest: registries do not know that number."""
    if not check.same_digest_as:
        return
    other = world.checks.get(check.same_digest_as)
    wanted = digest_of(filled(other.image, world.environment)) if isinstance(other, ImagePinned) else ""
    if not wanted:
        raise EvidenceError(f"the check {check.same_digest_as} names no digest to compare with")
    metadata = report.get("Metadata")
    digests = metadata.get("RepoDigests") if isinstance(metadata, dict) else None
    if not isinstance(digests, list) or not digests:
        raise EvidenceError("the report names no digest of its image (RepoDigests)")
    if wanted not in {str(digest).rpartition("@")[2] for digest in digests}:
        raise EvidenceError(f"the report is about another image: {plain(str(digests[0]), 200)}")


def _counted(report: Mapping[str, Any]) -> Counter[str]:
    results = report.get("Results")
    scanned = [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    if not any(one.get("Class") in SCANNED for one in scanned):
        raise EvidenceError("the report scanned no packages")
    found: Counter[str] = Counter()
    for one in scanned:
        for vulnerability in one.get("Vulnerabilities") or ():
            severity = vulnerability.get("Severity") if isinstance(vulnerability, dict) else None
            found[severity if isinstance(severity, str) else "UNKNOWN"] += 1
    return found
