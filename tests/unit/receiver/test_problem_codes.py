"""Every problem that the receiver reports is explained in its docs."""

import re

from tests.tools import ROOT


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    """The table in docs/receiver.md has a row for each code of the source, and no other."""
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "receiver").rglob("*.py"))
    used = set(re.findall(r'problems\.add\(\s*"((?:policy|settings)/[a-z-]+)"', source))
    documented = re.findall(
        r"^\| `((?:policy|settings)/[a-z-]+)` \|", (ROOT / "docs" / "receiver.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(documented) == sorted(used)
