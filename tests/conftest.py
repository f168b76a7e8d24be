"""Fixtures and rules for all tests."""

from collections.abc import Sequence

import pytest

from tests import journals
from tests.tools import LABELS, Generation, generations, missing_is_an_error


@pytest.fixture(scope="session", params=LABELS)
def generation(request: pytest.FixtureRequest) -> Generation:
    """Each generation of the Prometheus tools in turn; one that is not there fails in CI and is skipped elsewhere."""
    for found in generations():
        if found.label == request.param:
            return found
    reason = f"the {request.param} Prometheus tools are not here (./dev tools --all fetches them)"
    if missing_is_an_error():
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(params=[journals.EXCLUSIVE, pytest.param(journals.SHARED, marks=pytest.mark.xdist_group("shared"))])
def sharing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way of using the journal in turn; journals and receivers that a test opens go by it.

    With pytest-xdist, one worker has all tests of a shared journal.
    """
    monkeypatch.setenv(journals.VARIABLE, str(request.param == journals.EXCLUSIVE).lower())
    return str(request.param)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own, which reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Acceptance tests run one at a time (timing matters there); soak tests only when asked for by `-m`."""
    for item in items:
        if item.get_closest_marker("acceptance") is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("acceptance"))
    if "soak" not in str(config.option.markexpr):
        soak: Sequence[pytest.Item] = [item for item in items if item.get_closest_marker("soak") is not None]
        if soak:
            config.hook.pytest_deselected(items=soak)
            items[:] = [item for item in items if item not in soak]
