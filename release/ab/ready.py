"""Whether this installation can run the A/B tests of a policy. Imports nothing of the extra `ab`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from freezeline import extras
from release.policy.canary import Canary


def _installed(module: str) -> bool:
    return find_spec(module) is not None


def missing(canary: Canary, installed: Callable[[str], bool] = _installed) -> tuple[str, ...]:
    """Reasons why no rollout of this policy may begin here: a stage has a test, and scipy is not installed."""
    tested = [f"{stage.weight:.0%}" for stage in canary.stages if stage.ab is not None]
    if not tested or installed("scipy"):
        return ()
    return (f"the A/B test of stage {', '.join(tested)} needs scipy: {extras.install('ab')}",)


def can_draw(installed: Callable[[str], bool] = _installed) -> bool:
    """Whether this installation can draw the plots of a report."""
    return installed("matplotlib")
