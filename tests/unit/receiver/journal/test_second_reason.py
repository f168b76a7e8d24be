"""A second reason to freeze comes while the flag is there, and cannot be written yet: pipelines stop all the same."""

from pathlib import Path

import pytest

from receiver import report
from receiver.context import Context
from receiver.decide.model import FlagFile
from receiver.journal import Tx
from tests.unit.receiver.builders import NOW, episode, freeze_reason

pytestmark = pytest.mark.usefixtures("sharing")


async def test_a_flag_that_is_there_is_on_disk_whatever_reason_is_new(context: Context, tmp_path: Path) -> None:
    """The first reason is meant and not on disk, then on disk; the second reason changes nothing of that."""
    flag = tmp_path / "FREEZE.FLAG"

    def hold(tx: Tx, number: int) -> None:
        tx.add_episode(episode(id=f"E{number}", incident=f"E{number}", fingerprint=f"{number:016x}"))
        tx.add_freeze_reason(freeze_reason(flag=str(flag), episode=f"E{number}"))

    def written(tx: Tx) -> None:
        text = flag.read_text()
        file = FlagFile(path=str(flag), service="gateway", generation=1, text=text, written_at=NOW)
        tx.freeze_reasons_written(str(flag), ["E1"], file)

    async def missing() -> bool:
        return str(flag) in (await context.journal.read(report.look)).missing

    await context.journal.write(lambda tx: hold(tx, 1))
    flag.write_text("somebody else's")
    assert await missing()
    await context.journal.write(written)
    assert not await missing()
    await context.journal.write(lambda tx: hold(tx, 2))
    assert not await missing()
    flag.unlink()
    assert await missing()
