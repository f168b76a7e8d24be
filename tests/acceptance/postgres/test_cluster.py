"""The servers of the other tests: a primary whose commits wait for a standby, and a pgbouncer."""

import pytest

from tests.postgres import Bouncer, pair
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance


def test_a_standby_has_what_is_committed_and_takes_over() -> None:
    """A commit is on the standby; after the primary's end, the standby takes writes."""
    with pair() as (primary, standby):
        primary.run("CREATE TABLE kept (number integer)")
        primary.run("INSERT INTO kept VALUES (7)")
        bouncer = Bouncer(primary).start()
        try:
            assert bouncer.ask("SELECT number FROM kept") == [(7,)]
        finally:
            bouncer.stop()
        primary.kill()
        wait_until(lambda: standby.ask("SELECT number FROM kept") == [(7,)], 10, "the standby has the row")
        assert standby.ask("SELECT pg_is_in_recovery()") == [(True,)]
        standby.promote()
        standby.run("INSERT INTO kept VALUES (8)")
        assert standby.ask("SELECT sum(number) FROM kept") == [(15,)]
