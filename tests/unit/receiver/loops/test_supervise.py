"""A loop survives whatever its passes raise: logged once, counted, shown by health, and tried again."""

import ast
import asyncio
import logging

import pytest

from receiver.context import Context
from receiver.journal import JournalError
from receiver.loops import supervise as module
from receiver.loops.supervise import supervise
from tests.tools import ROOT


@pytest.mark.parametrize("error", [RuntimeError("odd"), OverflowError("date"), JournalError("full"), RecursionError()])
async def test_an_error_ends_no_loop(
    error: Exception, context: Context, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two passes fail alike, the third one goes well."""
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    passes: list[str] = []
    said: list[str] = []

    async def work() -> None:
        said.append(context.faults.said("loop"))
        passes.append("x")
        if len(passes) <= 2:
            raise error

    async def rest(_result: None) -> None:
        said.append(context.faults.said("loop"))

    with caplog.at_level(logging.WARNING):
        await supervise(context, "one", work, rest, stopping=lambda: len(passes) == 3)
    assert said[0] == said[-1] == ""
    assert "one: " in said[1]
    assert said[1] == said[2]
    counted = context.meters.registry.get_sample_value("freezeline_loop_errors_total", {"loop": "one"})
    assert counted == 2
    assert [record.message for record in caplog.records] == ["fault.found", "fault.over"]


async def test_a_loop_that_is_cancelled_ends(context: Context) -> None:
    """Cancelling is no error."""
    task = asyncio.create_task(supervise(context, "one", lambda: asyncio.sleep(0), lambda _: asyncio.sleep(3600)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def _is_for_ever(test: ast.expr) -> bool:
    """Whether a loop goes on until the receiver stops: `while True`, `while not self._stopping`."""
    return isinstance(test, ast.Constant) or "stopping" in ast.unparse(test)


def test_every_loop_is_supervised() -> None:
    """No module of the wing loops for ever by itself."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "receiver" / "loops").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.While) and path.name != "supervise.py" and _is_for_ever(node.test)
    ]
    assert found == []
