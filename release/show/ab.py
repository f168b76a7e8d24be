"""The A/B tests of a rollout inside its report. Needs the extra `ab`, which brings scipy and matplotlib."""

from __future__ import annotations

from collections.abc import Iterable

from release.ab import report
from release.ab.kept import decode
from release.show.report import Experiment


def experiments(service: str, release: str, kept: Iterable[tuple[int, str]]) -> tuple[Experiment, ...]:
    """Every test with its last look, as text, values and HTML. A test without a look is left out."""
    found = []
    for stage, body in kept:
        test = decode(body)
        if test.judgement is None:
            continue
        found.append(
            Experiment(
                stage=stage,
                text=report.as_text(service, release, test.judgement),
                values=report.as_values(service, release, test.judgement, test.progress),
                html=report.section(service, release, test.judgement, test.progress),
            )
        )
    return tuple(found)
