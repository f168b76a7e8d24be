"""The receiver reads this machine's wall clock in few places: of several receivers, each may have a wrong clock.

Everything else asks `Context.clock`, which goes by the journal, or gets the time passed in.
"""

import ast

from tests.tools import ROOT

READ = frozenset(
    {("datetime", "now"), ("datetime", "today"), ("datetime", "utcnow"), ("date", "today"), ("time", "time")}
)
PLACES = {
    "receiver/serve.py": "where the clock of this machine is passed in",
    "receiver/run/rundir.py": "the record of a run, which only this machine reads",
    "receiver/webhook/replay.py": "a command that explains and stores nothing",
}


def readers() -> set[str]:
    """The files that ask for the time."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / "receiver").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in READ
    }


def test_the_wall_clock_is_read_in_known_places() -> None:
    """A new reader asks for the journal's time, or is listed with its reason."""
    assert readers() == set(PLACES)
