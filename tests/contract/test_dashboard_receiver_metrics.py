"""What dashboards ask about the receiver is what the receiver tells: names, labels, states of its own metrics."""

import re
from collections.abc import Iterator

from receiver.decide.model import ActionState, ActionType
from receiver.report import StandingCollector
from tests.unit.generator.render.dashboards.examples import dashboards, panels

# Told by `freezeline canary run`, a process of its own.
CANARY = {"freezeline_canary_weight": {"service"}, "freezeline_canary_state": {"service", "state"}}


def told() -> dict[str, set[str]]:
    """Metric → labels, as the receiver declares them."""
    families = StandingCollector().collect()
    own = {family.name: set(family._labelnames) for family in families}  # noqa: SLF001 - no public way to them
    return own | CANARY


def asked() -> Iterator[tuple[str, dict[str, str]]]:
    """(metric, matchers) of each selector of such a metric, in panels and annotations."""
    for _, found in dashboards():
        expressions = [target["expr"] for panel in panels(found) for target in panel["targets"]]
        expressions += [item["expr"] for item in found["annotations"]["list"] if "expr" in item]
        for expression in expressions:
            for metric, inner in re.findall(r"\b(freezeline_\w+)(?:\{([^}]*)\})?", expression):
                yield metric, dict(re.findall(r'(\w+)[=!~]+"([^"]*)"', inner))


def test_every_metric_and_label_that_is_asked_for_is_told() -> None:
    """A renamed metric would leave a panel that says "no receiver" for ever."""
    known = told()
    assert {metric for metric, _ in asked()} >= {"freezeline_frozen", "freezeline_action_state"}
    for metric, matchers in asked():
        assert metric in known
        assert set(matchers) - known[metric] == set()


def test_every_state_that_is_asked_for_exists_and_none_is_forgotten() -> None:
    """Each state of the journal's table has a text on the dashboard."""
    states = [matchers["state"] for metric, matchers in asked() if metric == "freezeline_action_state"]
    assert {state for one in states for state in one.split("|")} == set(ActionState)


def test_the_type_of_action_that_is_asked_for_exists() -> None:
    """The panel is about rollbacks."""
    types = {matchers["type"] for metric, matchers in asked() if metric == "freezeline_action_state"}
    assert types == {ActionType.ROLLBACK}
