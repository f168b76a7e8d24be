"""What an import tells people: what will differ, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from generator.imports.base import Difference

WIDTH = 110


def text(title: str, differences: Sequence[Difference]) -> str:
    """The differences by topic. A difference of one SLO names the SLO; shared parts of a topic are written once."""
    lines = [f"What will differ from {title}:"]
    for topic in dict.fromkeys(difference.topic for difference in differences):
        lines.append(f"  {topic}")
        merged = _merged(one for one in differences if one.topic == topic)
        reasons = list(dict.fromkeys(one.why for one in merged))
        for one in merged:
            lines += [f"    {one.slo}:"] if one.slo else []
            lines += [*_said("was", one.was), *_said("now", one.becomes)]
            lines += _said("why", one.why) if len(reasons) > 1 else []
        lines += _said("why", reasons[0]) if len(reasons) == 1 else []
    return "\n".join(lines) + "\n"


def _merged(differences: Iterable[Difference]) -> list[Difference]:
    """Merge equal differences of several SLOs."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for one in differences:
        found.setdefault((one.was, one.becomes, one.why), []).append(one.slo)
    return [
        Difference(topic="", was=was, becomes=becomes, why=why, slo=", ".join(name for name in slos if name))
        for (was, becomes, why), slos in found.items()
    ]


def _said(word: str, said: str) -> list[str]:
    return textwrap.wrap(said, WIDTH, initial_indent=f"    {word}  ", subsequent_indent=" " * 9, break_on_hyphens=False)
