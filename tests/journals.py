"""Tests that use a journal run twice: as its only writer, and as one of several that write it.

A module asks for both with `pytestmark = pytest.mark.usefixtures("sharing")` (tests/conftest.py). The choice is the
receiver's own setting, as an environment variable: a receiver in another process inherits it, and a test that opens a
journal by itself passes `exclusive=exclusive()`.
"""

import os

VARIABLE = "FREEZELINE_JOURNAL_EXCLUSIVE"
EXCLUSIVE, SHARED = "exclusive", "shared"


def exclusive() -> bool:
    """Whether the journal of the running test has one writer only; true where the test did not ask for both."""
    return os.environ.get(VARIABLE, "true") == "true"
