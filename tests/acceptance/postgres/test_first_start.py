"""The start that makes the journal in an empty database, by several receivers at once."""

import pytest

from receiver.journal import postgres_store
from receiver.steps import pass_by
from tests.at_once import at_once
from tests.postgres import Cluster

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]


def opened(dsn: str) -> None:
    """Open the journal as a receiver does."""
    store = postgres_store(dsn, require_standby=False, place="host:/state")
    store.open(pass_by).close()
    store.close()


def test_receivers_that_start_at_once_make_one_journal(server: Cluster) -> None:
    """One makes the tables. The others wait for them, and have them."""
    for _ in range(5):
        assert at_once(opened, server.database()) == []
