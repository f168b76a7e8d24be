"""Fixtures of the tests of backtests."""

import pytest

from tests.tools import Generation, generations, missing_is_an_error


@pytest.fixture(scope="module")
def current() -> Generation:
    """The newest generation of the tools; for what does not depend on theirs."""
    found = generations()
    if not found:
        reason = "the Prometheus tools are not here (./dev tools fetches them)"
        if missing_is_an_error():
            pytest.fail(reason)
        pytest.skip(reason)
    return found[-1]
