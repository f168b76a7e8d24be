"""Which of the receiver's tests run twice over."""

from collections.abc import Mapping

import pytest

from tests.journals import SHARED
from tests.tools import LABELS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A journal with several writers meets one generation of the Prometheus tools: neither knows of the other."""
    left_out = [item for item in items if is_both(getattr(item, "callspec", None))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def is_both(callspec: object) -> bool:
    """Whether a test's parameters are a journal with several writers and any but the current generation."""
    params: Mapping[str, object] = getattr(callspec, "params", {})
    return params.get("sharing") == SHARED and params.get("generation", LABELS[-1]) != LABELS[-1]
