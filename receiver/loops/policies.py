"""Where policies come from: a directory, read at start and on SIGHUP. If a policy has problems, the last good stay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from freezeline.problems import Problems, render
from receiver.context import Context
from receiver.decide.model import Decision
from receiver.journal import JournalError, Tx, View, reading
from receiver.policy.directory import Loaded, read_directory
from receiver.policy.model import Policies, Policy
from receiver.policy.read import parse_policy

log = logging.getLogger(__name__)

POLICY = "policy"
"""The kind of faults that this module reports."""

REFUSED = "the policies on disk have problems, so the last good policies stay in force"


def parse_known(texts: Mapping[str, str], *, channels: Collection[str]) -> dict[str, Policy]:
    """Policies that the journal remembers, by hash. A policy that no longer parses is left out."""
    known = {}
    for sha256, text in texts.items():
        policy = parse_policy(text, file=sha256, channels=_Any(channels), problems=Problems())
        if policy is not None:
            known[sha256] = policy
    return known


class _Any(frozenset[str]):
    """Every channel name: an accepted policy stays readable after a channel was removed."""

    def __contains__(self, _name: object) -> bool:
        return True


def last_good(journal: Path, *, postgres: str = "", channels: Collection[str]) -> Loaded:
    """The policies in force when the journal was last written; none if there is no journal yet."""
    try:
        with reading(journal, postgres=postgres, earlier=True) as view:
            texts = view.policies_in_force()
    except JournalError:
        return Loaded(policies={})
    known = parse_known(dict(texts.values()), channels=channels)
    return Loaded(policies={name: (known[sha256], text) for name, (sha256, text) in texts.items() if sha256 in known})


def remembered(view: View) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """From the journal: the policies in force by name, and the texts of all policies that opened live episodes."""
    hashes = view.policies_in_use()
    return view.policies_in_force(), view.policy_bodies(hashes)


def told(context: Context, problem: str) -> None:
    """Let health and metrics say how the policies in force differ from those on disk; "" if they are the same."""
    context.box.problem = problem
    context.meters.policy_load_ok.set(int(not problem))
    context.meters.policies.set(len(context.box.policies.in_force))


async def reload_policies(context: Context, directory: Path, *, channels: Collection[str]) -> None:
    """Read the policies again. If a policy has problems, the last good policies stay in force.

    A policy whose file has vanished stays in force too, because its service would no longer freeze. To drop a policy,
    remove its file and restart the receiver. Whatever goes wrong is told, and the next SIGHUP tries again.
    """
    try:
        problem = await _reload(context, directory, channels)
    except Exception as error:
        log.exception("policy.reload_failed")
        problem = f"the policies could not be read again: {error}"
    told(context, problem)


async def _reload(context: Context, directory: Path, channels: Collection[str]) -> str:
    """Put the policies of the directory in force. Returns what is wrong with them."""
    problems = Problems()
    loaded = await asyncio.to_thread(read_directory, directory, channels=channels, problems=problems)
    if problems.errors:
        for problem in problems:
            log.error("policy.problem", extra={"problem": render(problem)})
        return REFUSED
    texts = await context.journal.read(lambda view: view.policies_in_force())
    before = {policy.name: policy for policy in context.box.policies.in_force}
    vanished = sorted(name for name in before.keys() - loaded.policies.keys() if name in texts)
    kept = {name: (before[name], texts[name][1]) for name in vanished}
    await adopt(context, Loaded(policies={**loaded.policies, **kept}), channels=channels)
    log.info("policy.loaded", extra={"policies": sorted(loaded.policies), "vanished": vanished})
    if not vanished:
        return ""
    return f"the file of {', '.join(vanished)} vanished; the last good policy stays in force until a restart"


async def learn(context: Context) -> None:
    """Read the policies by which receivers on other hosts opened episodes. Raises JournalError.

    Such a policy may be newer than those of this host, or older.
    """
    if not context.leading.several:
        return
    box = context.box
    known = {*box.policies.by_sha256, *box.unreadable}
    texts = await context.journal.read(lambda view: view.policies_in_use_beside(known))
    if not texts:
        return
    found = parse_known(texts, channels=())
    for sha256 in texts.keys() - found.keys():
        box.unreadable.add(sha256)
        why = "another receiver acts by this policy, which this version cannot read. Start a newer version here"
        context.faults.report(POLICY, sha256[:12], why)
    box.policies = Policies(in_force=box.policies.in_force, by_sha256={**box.policies.by_sha256, **found})


async def adopt(context: Context, loaded: Loaded, *, channels: Collection[str]) -> None:
    """Put policies in force: first in the journal, then for matching. Raises JournalError."""
    texts = {name: (policy.sha256, text) for name, (policy, text) in loaded.policies.items()}
    hashes = {name: sha256 for name, (sha256, _) in texts.items()}

    def put(tx: Tx) -> dict[str, str]:
        in_force, bodies = remembered(tx)
        if hashes != {name: sha256 for name, (sha256, _) in in_force.items()}:
            names = ", ".join(f"{name}@{sha256[:12]}" for name, sha256 in sorted(hashes.items())) or "none"
            tx.put_policies(texts)
            tx.note(Decision(kind="policies", sentence=f"Policies in force: {names}"))
        return bodies

    bodies = await context.journal.write(put)
    known = parse_known(bodies, channels=channels)
    known.update({policy.sha256: policy for policy, _ in loaded.policies.values()})
    context.box.policies = Policies(in_force=tuple(policy for policy, _ in loaded.policies.values()), by_sha256=known)
