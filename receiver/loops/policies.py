"""Where policies come from: a directory, read at start and on SIGHUP. If a policy has problems, the last good stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from freezeline.problems import Problems
from receiver.context import Context
from receiver.decide.model import Decision
from receiver.journal import JournalError, Tx, View, open_view
from receiver.policy.directory import Loaded
from receiver.policy.model import Policies, Policy
from receiver.policy.read import parse_policy


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


def last_good(journal: Path, *, channels: Collection[str]) -> Loaded:
    """The policies in force when the journal was last written; none if there is no journal yet."""
    try:
        view, connection = open_view(journal, earlier=True)
    except JournalError:
        return Loaded(policies={})
    try:
        texts = view.policies_in_force()
    finally:
        connection.close()
    known = parse_known(dict(texts.values()), channels=channels)
    return Loaded(policies={name: (known[sha256], text) for name, (sha256, text) in texts.items() if sha256 in known})


def remembered(view: View) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """From the journal: the policies in force by name, and the texts of all policies that opened live episodes."""
    hashes = view.policies_in_use()
    return view.policies_in_force(), view.policy_bodies(hashes)


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
