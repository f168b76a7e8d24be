"""Freezeline as a later version would be: this checkout, copied, with more migrations of the journal in PostgreSQL."""

import shutil
from pathlib import Path

from receiver.journal.postgres_shapes import known
from tests.tools import ROOT

PACKAGES = ("freezeline", "generator", "receiver", "release")
ADDS = "ALTER TABLE receiver ADD COLUMN {name} text NOT NULL DEFAULT ''"


def later(folder: Path, *whens: str) -> dict[str, str]:
    """The environment of a later version with one more migration for each of these, such as `pre_`."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for number, when in enumerate(whens, start=known() + 1):
        file = folder / "receiver" / "journal" / "postgres_migrations" / f"{number:04d}_{when}later.sql"
        file.write_text(ADDS.format(name=f"later_{number}"))
    return {"PYTHONPATH": str(folder)}
