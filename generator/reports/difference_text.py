"""Changes for people: by subject, old → new, with the effect."""

from __future__ import annotations

from collections.abc import Sequence

from generator.reports.difference import Change


def text(changes: Sequence[Change]) -> str:
    """One block for each subject; empty if nothing changes."""
    lines: list[str] = []
    for subject in dict.fromkeys(change.subject for change in changes):
        lines.append(subject)
        for change in changes:
            if change.subject == subject:
                lines += _lines(change)
    return "".join(f"{line}\n" for line in lines)


def _lines(change: Change) -> list[str]:
    if not change.old:
        shown = f"  + {change.what}: {change.new}"
    elif not change.new:
        shown = f"  - {change.what}: {change.old}"
    elif len(change.old) + len(change.new) > 80:
        shown = f"  ~ {change.what}:\n      {change.old}\n    → {change.new}"
    else:
        shown = f"  ~ {change.what}: {change.old} → {change.new}"
    return [shown, f"    {change.effect}"] if change.effect else [shown]


def summary(changes: Sequence[Change]) -> str:
    """One line: the number of changes, and of those with new fingerprints or lost history."""
    if not changes:
        return "same meaning"
    parts = [f"{len(changes)} change{'' if len(changes) == 1 else 's'} in meaning"]
    fingerprints = sum(change.fingerprint for change in changes)
    histories = sum(change.history for change in changes)
    if fingerprints:
        parts.append(f"{fingerprints} with new fingerprints")
    if histories:
        parts.append(f"{histories} where history begins anew")
    return ", ".join(parts)
