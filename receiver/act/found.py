"""Takes up a flag that is on disk although the journal knows no reason for the flag.

Another journal may have written the flag, or a person. In both cases the service stays frozen, for a reason that only a
person ends.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from receiver.act import flagfile
from receiver.context import Context
from receiver.decide import found_flag
from receiver.decide.model import NO_TRACE, ActionType, FlagView
from receiver.decide.plan import Known
from receiver.journal import Tx
from receiver.journal.record import record

log = logging.getLogger(__name__)

START_LIMIT_S = 10.0
"""The longest that flags keep a start waiting. A flag on a disk that hangs must not keep other services' freezes."""


async def take_up_all(context: Context) -> None:
    """Take up every flag of the policies in force, before the first request is answered.

    After the loss of a journal, its flags alone name the releases that were rolled back. A person who hears that the
    receiver runs may remove those flags. The heartbeat looks again at a flag that cannot be read now.
    Raises JournalError.
    """
    flags = list(context.box.policies.flags())
    views = await context.journal.read(lambda journal: [journal.flag_view(flag) for flag in flags])
    try:
        async with asyncio.timeout(START_LIMIT_S):
            found = await asyncio.gather(*(take_up(context, view) for view in views), return_exceptions=True)
    except TimeoutError:
        log.warning("flag.unread", extra={"why": f"reading the flags took longer than {START_LIMIT_S:g} s"})
        return
    for view, answer in zip(views, found, strict=True):
        if isinstance(answer, OSError):
            log.warning("flag.unread", extra={"flag": view.path, "why": str(answer)})
        elif isinstance(answer, BaseException):
            raise answer


def is_foreign(view: FlagView) -> bool:
    """Whether a flag that is on disk now is not the receiver's own."""
    if view.file is not None and view.file.text is not None:
        return False  # The receiver wrote this flag. A changed text is a case for `repair`.
    return not any(action.type is ActionType.UNFREEZE for action in view.unfinished)


async def take_up(context: Context, view: FlagView) -> bool:
    """If the flag on disk is not explained by the journal: hold the flag. Returns whether there is a new reason."""
    if not is_foreign(view):
        return False
    text = await asyncio.to_thread(flagfile.text_on_disk, Path(view.path))
    return text is not None and await hold(context, view.path, text)


async def hold(context: Context, path: str, text: str) -> bool:
    """Hold a foreign flag with this text, unless the journal explains it. Returns whether there is a new reason."""
    policy = context.box.policies.flags().get(path)
    if policy is None:
        return False
    flag = found_flag.read(text)
    fingerprint = found_flag.fingerprint(path)

    def work(tx: Tx) -> bool:
        now_held = {reason.episode for reason in tx.freeze_reasons(flag=path, held=True)}
        earlier = tx.newest_episodes([fingerprint]).get(fingerprint, [])
        if (flag.episodes and flag.episodes <= now_held) or (earlier and earlier[0].live):
            return False  # A kill came between writing the flag and recording this.
        opened = found_flag.hold(
            path,
            flag,
            policy=policy,
            generation=earlier[0].generation + 1 if earlier else 1,
            known=Known(incident=tx.incident),
            now=tx.now,
            ids=context.ids,
            trace=NO_TRACE,
        )
        record(tx, [opened], context.box.policies, ids=context.ids, trace=NO_TRACE)
        return True

    held = await context.journal.write(work)
    if held:
        log.warning("flag.found", extra={"flag": path, "why": flag.reason})
    return held
