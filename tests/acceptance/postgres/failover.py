"""A primary that dies, and a standby that takes over and gets a standby of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.postgres import Cluster, either, pair


class Servers:
    """The primary and its standby now. Both keep their ports."""

    def __init__(self, primary: Cluster, standby: Cluster) -> None:
        self.primary, self.standby = primary, standby
        self.dsn = either(primary.database(), primary, standby)
        self.failovers = 0

    def fail_over(self) -> None:
        """The primary dies at some moment of its commits."""
        self.primary.kill()
        self.standby.promote()
        self.failovers += 1
        fresh = self.standby.standby(f"standby{self.failovers}", port=self.primary.port)
        fresh.start()
        self.standby.require(fresh.name)
        self.primary, self.standby = self.standby, fresh


@contextmanager
def servers() -> Iterator[Servers]:
    """Two servers with a new database, whose commits wait for the standby."""
    with pair() as (primary, standby):
        made = Servers(primary, standby)
        try:
            yield made
        finally:
            for cluster in (made.primary, made.standby):
                cluster.stop()
