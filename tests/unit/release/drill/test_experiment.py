"""An experiment: the steady state before and after, the method, and rollbacks that run whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from release.drill.experiment import DrillError, Experiment, Step, run


class Deeds:
    """Steps that note their names, and fail where the test says so."""

    def __init__(self, *failing: str) -> None:
        self.done: list[str] = []
        self.failing = failing

    def step(self, title: str, do: Callable[[], Awaitable[float | None]] | None = None, limit_s: float = 5.0) -> Step:
        """A step that notes its name first."""

        async def deed() -> float | None:
            self.done.append(title)
            if title in self.failing:
                raise DrillError("broken")
            return await do() if do else None

        return Step(title=title, do=deed, limit_s=limit_s)

    def experiment(self, *method: Step) -> Experiment:
        """One check, the method, and two rollbacks."""
        return Experiment(
            steady_state=(self.step("steady"),),
            method=method or (self.step("break"), self.step("heal")),
            rollbacks=(self.step("undo"), self.step("tidy")),
        )


async def test_everything_in_order() -> None:
    """Steady state, method, rollbacks, steady state; every step of the method is a leg."""
    deeds = Deeds()
    outcome = await run(deeds.experiment())
    assert deeds.done == ["steady", "break", "heal", "undo", "tidy", "steady"]
    assert (outcome.ok, outcome.why, list(outcome.legs)) == (True, (), ["break", "heal"])


async def test_no_steady_state_no_drill() -> None:
    """Where something is wrong already, nothing is broken and nothing is put back."""
    deeds = Deeds("steady")
    outcome = await run(deeds.experiment())
    assert deeds.done == ["steady"]
    assert (outcome.ok, outcome.began, outcome.why) == (False, False, ("steady: broken",))


async def test_a_method_that_fails() -> None:
    """The method stops, and the rollbacks run all the same, each of them."""
    deeds = Deeds("break", "undo")
    outcome = await run(deeds.experiment())
    assert deeds.done == ["steady", "break", "undo", "tidy", "steady"]
    assert (outcome.ok, outcome.legs, outcome.why) == (False, {}, ("break: broken", "undo: broken"))


async def test_measured_seconds_win_over_the_clock() -> None:
    """A step that read the receiver's own times returns them."""
    deeds = Deeds()

    async def measured() -> float:
        return 12.5

    outcome = await run(deeds.experiment(deeds.step("leg", measured)))
    assert outcome.legs == {"leg": 12.5}


async def test_a_step_has_a_limit() -> None:
    """A step that hangs ends at its limit."""
    deeds = Deeds()

    async def hang() -> float | None:
        await asyncio.Event().wait()
        return None

    outcome = await run(deeds.experiment(deeds.step("leg", hang, limit_s=0.05)))
    assert outcome.why == ("leg: not within 0.05 s",)
    assert deeds.done[-3:] == ["undo", "tidy", "steady"]


async def test_a_cancelled_drill_puts_everything_back() -> None:
    """Ctrl-C in the method, and once more while the rollbacks run: each rollback still runs to its end."""
    deeds, hung, undoing, go_on = Deeds(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang() -> float | None:
        hung.set()
        await asyncio.Event().wait()
        return None

    async def slow() -> float | None:
        undoing.set()
        await go_on.wait()
        return None

    experiment = Experiment(
        steady_state=(), method=(deeds.step("leg", hang),), rollbacks=(deeds.step("undo", slow), deeds.step("tidy"))
    )
    task = asyncio.create_task(run(experiment))
    await hung.wait()
    task.cancel()
    await undoing.wait()
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert deeds.done == ["leg", "undo", "tidy"]
