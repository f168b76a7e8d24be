"""Fixtures and rules for all tests."""

from collections.abc import Iterator, Mapping

import pytest

from tests import journals, postgres
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


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Cluster]:
    """A PostgreSQL without a standby, for all tests of one worker."""
    with postgres.cluster() as running:
        yield running


@pytest.fixture(params=[journals.EXCLUSIVE, journals.SHARED, journals.POSTGRES])
def sharing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way of using the journal in turn. Journals and receivers that a test opens go by it."""
    if request.param == journals.POSTGRES:
        running: postgres.Cluster = request.getfixturevalue("server")
        monkeypatch.setenv(journals.SERVER, running.database())
        monkeypatch.setenv("FREEZELINE_JOURNAL_REQUIRE_STANDBY", "false")
    else:
        monkeypatch.setenv(journals.VARIABLE, str(request.param == journals.EXCLUSIVE).lower())
    return str(request.param)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # pytest-xdist's own hook, which reads the groups, runs inside
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Group the tests for the workers of pytest-xdist, and put first what takes longest.

    Soak tests run only when `-m` asks for them.
    """
    of_files = [item for item in items if in_postgres(item) and item.get_closest_marker("sqlite") is not None]
    items[:] = [item for item in items if item not in of_files]
    for item in items:
        if in_postgres(item) and item.get_closest_marker("acceptance") is not None:
            item.add_marker(pytest.mark.soak)
        if item.get_closest_marker("old_in_soak") is not None and params_of(item).get("generation") == LABELS[0]:
            item.add_marker(pytest.mark.soak)
        if item.get_closest_marker("xdist_group") is None and (group := group_of(item)):
            item.add_marker(pytest.mark.xdist_group(group))
    if "soak" not in str(config.option.markexpr):
        soak = [item for item in items if item.get_closest_marker("soak") is not None]
        if soak:
            config.hook.pytest_deselected(items=soak)
            items[:] = [item for item in items if item not in soak]
    yield
    items.sort(key=turn)


def group_of(item: pytest.Item) -> str:
    """The group whose tests one worker runs one after the other; empty for a test that any worker may run.

    All tests that assert a time bound are one group. Other acceptance tests share servers within a file, and there
    with tests of the same generation of the tools and of the same way of using the journal.
    """
    if item.get_closest_marker("timed") is not None:
        return "timed"
    if in_postgres(item):
        return journals.POSTGRES
    if item.get_closest_marker("acceptance") is None:
        return ""
    params = params_of(item)
    labels = [str(params[name]) for name in ("generation", "sharing") if name in params]
    return "-".join([f"{item.path.parent.name}/{item.path.stem}", *labels])


def in_postgres(item: pytest.Item) -> bool:
    """Whether a test keeps its journal in PostgreSQL."""
    return params_of(item).get("sharing") == journals.POSTGRES


def params_of(item: pytest.Item) -> Mapping[str, object]:
    """The test's parameters, and those of its fixtures."""
    callspec = getattr(item, "callspec", None)  # only parametrised tests have one
    return {} if callspec is None else callspec.params


def turn(item: pytest.Item) -> int:
    """When a test begins: the long ones first, so that none of them begins last and keeps one worker busy alone."""
    marks = ("long", "timed", "acceptance")
    return next((number for number, mark in enumerate(marks) if item.get_closest_marker(mark) is not None), len(marks))
