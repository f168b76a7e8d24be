"""The A/B tests of a rollout inside its report."""

from __future__ import annotations

from collections.abc import Iterable

from release.ab import report
from release.ab.kept import decode
from release.show.report import Experiment


def experiments(
    service: str, release: str, kept: Iterable[tuple[int, str]], draw: report.Draw | None
) -> tuple[Experiment, ...]:
    """Every test with its last look, in all forms. A test without a look is left out. `draw` makes the plots."""
    found = []
    for stage, body in kept:
        test = decode(body)
        if test.judgement is None:
            continue
        found.append(
            Experiment(
                stage=stage,
                text=report.as_text(service, release, test.judgement),
                said=report.said(test.judgement),
                table=(report.COLUMNS, *report.rows(test.judgement)),
                values=report.as_values(service, release, test.judgement, test.progress),
                html=report.section(service, release, test.judgement, test.progress, draw),
                points=test.progress.points,
            )
        )
    return tuple(found)
