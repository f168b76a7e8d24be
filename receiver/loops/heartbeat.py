"""The heartbeat beside every flag, which tells "not frozen" from "no receiver watches".

A heartbeat is never fresher than the ability to freeze. Before each heartbeat, the receiver commits to the journal as a
webhook does, and writes beside the flag as a freeze does. If either fails, the heartbeat grows old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from receiver.act import flagcheck, flagd, flagfile
from receiver.act.freeze import FREEZE
from receiver.context import Context
from receiver.decide.model import stamp_ms
from receiver.decide.plan import WATCHDOG
from receiver.journal import JournalError, View
from receiver.loops.supervise import failed, supervise

EVERY_S = 5.0
BEAT_LIMIT_S = 5.0
"""A beat that takes longer hangs on some disk, which is a fault of its own."""

JOURNAL, FLAG, HIDDEN, FEATURE = "journal", "flag", "hidden", "feature"
"""Kinds of faults that the heartbeat finds."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Heartbeat:
    """Every five seconds writes beside every flag that a policy names or that has a freeze reason.

    `check_flag` compares a flag on disk with the journal. Each beat asks for this for every flag that should exist and
    does not. A lost flag therefore comes back soon. `watchdog_seen` gets the time at which a receiver with this journal
    last heard the watchdog.
    """

    def __init__(
        self, context: Context, *, check_flag: Callable[[str], None], watchdog_seen: Callable[[datetime], None]
    ) -> None:
        self._context = context
        self._check_flag = check_flag
        self._watchdog_seen = watchdog_seen
        self._task: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._beaten_at = float("-inf")
        self._boot_id = BOOT_ID.read_text("ascii").strip() if BOOT_ID.exists() else ""

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(
            supervise(self._context, "heartbeat", self.beat, lambda _: asyncio.sleep(EVERY_S)), name="heartbeat"
        )

    async def stop(self) -> None:
        """End. The last heartbeat then grows old."""
        for task in (self._task, self._beating):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def beat_if_older(self, age_s: float) -> None:
        """Beat now, unless the last beat is younger. Health asks this, so that health is never older than `age_s`."""
        if asyncio.get_running_loop().time() - self._beaten_at < age_s:
            return
        try:
            await self.beat()
        except Exception as error:  # noqa: BLE001 - whatever it is, health shows it as the loop would
            failed(self._context, "heartbeat", error)

    async def beat(self) -> None:
        """Write every heartbeat once, together with others who ask for a beat at the same time."""
        beating = self._beating
        if beating is None or beating.done():
            beating = self._beating = asyncio.create_task(self._beat(), name="beat")
        _, late = await asyncio.wait({beating}, timeout=BEAT_LIMIT_S)
        self._context.faults.report("disk", "", f"a write takes longer than {BEAT_LIMIT_S:g} s" if late else "")
        if not late:
            beating.result()

    async def _beat(self) -> None:
        held, content = await self._content()
        flags = {flag: held.get(flag, False) for flag in {*held, *self._context.box.policies.flags()}}
        faults = self._context.faults
        if content is not None:
            found = await asyncio.to_thread(_beat_beside, flags, content)
            for flag, (fault, unseen) in found.items():
                faults.report(FLAG, flag, fault)
                faults.report(HIDDEN, flag, unseen)
            files = await self._look_at_feature_flags()
            faults.keep(FLAG, set(flags))
            faults.keep(HIDDEN, {*flags, *files})
            must_exist = [flag for flag, must in flags.items() if must]
            for flag in await asyncio.to_thread(flagcheck.missing, must_exist):
                faults.report(FREEZE, flag, f"{flag} is gone")
                self._check_flag(flag)
        self._beaten_at = asyncio.get_running_loop().time()

    async def _look_at_feature_flags(self) -> Collection[str]:
        """Whether every feature flag of the policies in force could be set now, and whether others can read the file.

        The answer is every file of feature flags.
        """
        wanted: dict[str, list[tuple[str, str]]] = {}
        for switch in self._context.box.policies.feature_flags():
            wanted.setdefault(switch.file, []).append((switch.flag, switch.variant))
        faults = self._context.faults
        for file, flags in wanted.items():
            fault, unseen = await asyncio.to_thread(_feature_faults, Path(file), flags)
            faults.report(FEATURE, file, fault)
            faults.report(HIDDEN, file, unseen)
        faults.keep(FEATURE, set(wanted))
        return wanted.keys()

    async def _content(self) -> tuple[Mapping[str, bool], Mapping[str, object] | None]:
        """The flags, each with whether it must exist, and the heartbeat's text; None if no webhook could be stored."""
        context = self._context
        try:
            await context.journal.probe()
            held, watchdog_at = await context.journal.read(
                lambda journal: (must_exist(journal), journal.last_seen_at(WATCHDOG))
            )
        except JournalError as error:
            context.faults.report(JOURNAL, "", str(error))
            return {}, None
        context.faults.report(JOURNAL, "", "")
        if watchdog_at is not None:
            self._watchdog_seen(watchdog_at)
        in_force = context.box.policies.in_force
        return held, {
            "at": stamp_ms(context.host_clock()),
            "host": context.host,
            "boot_id": self._boot_id,
            "journal_seq": context.journal.head,
            "watchdog_at": stamp_ms(watchdog_at) if watchdog_at else None,
            "policies": {policy.name: f"sha256:{policy.sha256}" for policy in in_force},
        }


def _beat_beside(flags: Collection[str], content: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Write the heartbeats. For each flag: why the flag could not be written, and why others would not see the flag."""
    found: dict[str, tuple[str, str]] = {}
    written: dict[Path, str] = {}
    for flag in sorted(flags):
        path = Path(flag)
        fault = flagcheck.obstacle(path)
        if not fault and path.parent not in written:
            written[path.parent] = _write(path, content)
        found[flag] = (fault or written[path.parent], flagcheck.hidden(path))
    return found


def _feature_faults(file: Path, flags: Collection[tuple[str, str]]) -> tuple[str, str]:
    return flagd.obstacle(file, flags), flagd.hidden(file)


def _write(flag: Path, content: Mapping[str, object]) -> str:
    try:
        flagfile.write_heartbeat(flag, content)
    except flagfile.FlagDirectoryError as error:
        return str(error)
    except OSError as error:
        return f"{flag.parent}: {error.strerror}"
    return ""


def must_exist(journal: View) -> dict[str, bool]:
    """Every flag, each with whether its file must exist."""
    return {flag: journal.has_written_reason(flag) for flag in journal.flags()}
