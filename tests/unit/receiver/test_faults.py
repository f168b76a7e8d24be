"""What health says of the receiver's faults."""

from receiver.faults import Faults
from tests.unit.receiver.builders import NOW


def test_a_cause_that_several_loops_share_stands_once() -> None:
    """Without its database, each loop fails for the same reason."""
    faults = Faults(lambda: NOW)
    faults.report("loop", "worker", "another cause")
    for name in ("lead", "reconcile"):
        faults.report("loop", name, "no database")
    assert faults.said("loop") == "lead, reconcile: no database; worker: another cause"
    faults.report("loop", "lead", "")
    assert faults.said("loop") == "reconcile: no database; worker: another cause"
    faults.report("journal", "", "no database")
    assert faults.said("journal") == "no database"
