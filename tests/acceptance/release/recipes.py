"""The balancer's gates as docs/canary.md offers them."""

import re

from tests.tools import ROOT


def recipes() -> str:
    """The YAML list of gates on the page, without the key `gates`."""
    found = re.search(r"```yaml\ngates:\n(.*?)```", (ROOT / "docs" / "canary.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]
