"""Keeps the flags of this host as the journal wants them, while another receiver leads.

The leader writes its flags and records their texts. Every other receiver writes the same texts on its own host. A
receiver does not wait for a leader that cannot write: until the leader has a text, the receiver writes its own.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from receiver.act import flagfile, found, hosts
from receiver.act.freeze import FREEZE, unfreeze_texts
from receiver.context import Context
from receiver.decide import found_flag
from receiver.decide.hosts import HostFlag, HostState
from receiver.decide.model import FlagView, stamp_ms
from receiver.journal import View
from receiver.loops.policies import learn
from receiver.loops.supervise import supervise

EVERY_S = 5.0
"""How often the flags on disk are compared while the journal says nothing new."""


class Follower:
    """Starts with `start`. While this receiver leads, the worker keeps the flags, and the follower does nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Compare now, after each commit, and now and then."""
        self._context.journal.on_commit(self._on_commit)
        self._task = asyncio.create_task(
            supervise(self._context, "follower", self.compare, self._rest), name="follower"
        )

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def check_flag(self, _flag: str) -> None:
        """Compare soon: a flag that should exist is gone."""
        self._wake.set()

    def _on_commit(self, _head: int, _acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        self._wake.set()

    async def _rest(self, _done: None) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def compare(self) -> None:
        """Compare every flag once. Raises JournalError."""
        self._wake.clear()
        if self._context.leading.holds():
            return
        await learn(self._context)
        context = self._context
        known = context.box.policies.flags()

        def ask(view: View) -> tuple[dict[str, HostFlag], list[tuple[FlagView, frozenset[str]]]]:
            flags = dict.fromkeys((*known, *view.flags()))
            said = view.flags_of_host(context.host) if context.journal.several else {}
            return said, [(view.flag_view(flag), _ended(view, flag)) for flag in flags]

        said, views = await context.journal.read(ask)
        for view, ended in views:
            try:
                state = await self._compare_one(view, ended)
            except (OSError, flagfile.FlagDirectoryError) as error:
                why = f"{view.path}: {error}"
                context.faults.report(FREEZE, view.path, why)
                await hosts.failed(context, view, why)
            else:
                context.faults.report(FREEZE, view.path, "")
                if state is not None:
                    service = hosts.service_of(context, view)
                    await hosts.noted(context, view.path, service, state, said.get(view.path))

    async def _compare_one(self, view: FlagView, ended: frozenset[str]) -> HostState | None:
        """Make one flag as the journal wants. Returns the state of the flag; None where that is still open."""
        path = Path(view.path)
        async with self._context.flag_lock(view.path):
            on_disk = await asyncio.to_thread(flagfile.read_flag, path)
            wanted = self._text(view) if view.freeze_reasons else None
            led = view.file is not None and view.file.text is not None
            if wanted is not None:
                if on_disk != wanted and (led or not _stands_for(on_disk, view)):
                    await asyncio.to_thread(flagfile.write_flag, path, wanted, self._context.reached)
                return HostState.FROZEN
            if on_disk is None:
                return HostState.UNFROZEN
            if led:  # a leader's flag goes when the leader has removed it
                return None
            if is_copy(on_disk, ended):
                await asyncio.to_thread(flagfile.remove_flag, path)
                return HostState.UNFROZEN
        await found.take_up(self._context, view)
        return None

    def _text(self, view: FlagView) -> str:
        """The leader's text, or an own text while the leader has not written one."""
        if view.file is not None and view.file.text is not None:
            return view.file.text
        context = self._context
        return flagfile.flag_text(
            view,
            generation=(view.file.generation if view.file else 0) + 1,
            host=context.host,
            written_at=stamp_ms(context.clock()),
            unfreeze_when=unfreeze_texts(context, view),
        )


def _ended(view: View, flag: str) -> frozenset[str]:
    """The episodes whose reasons for a flag have ended."""
    return frozenset(reason.episode for reason in view.freeze_reasons(flag=flag, held=False))


def _stands_for(text: str | None, view: FlagView) -> bool:
    """Whether a flag that this receiver wrote by itself names every reason in force."""
    return {reason.episode for reason in view.freeze_reasons} <= flagfile.named_episodes(text)


def is_copy(text: str, ended: frozenset[str]) -> bool:
    """Whether a flag is left from freezes that have all ended, because this host was away when they ended."""
    episodes = found_flag.read(text).episodes
    return bool(episodes) and episodes <= ended
