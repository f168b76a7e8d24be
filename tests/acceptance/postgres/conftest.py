"""Fixtures of the tests with several receivers."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.http import SLACK_PATH, SlackFake, running


@pytest.fixture
async def slack() -> AsyncIterator[SlackFake]:
    """A Slack that keeps what it gets."""
    fake = SlackFake()
    async with running(fake, SLACK_PATH):
        yield fake
